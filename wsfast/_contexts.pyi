from ._deflate_py import Deflater as Deflater
from ._deflate_py import Inflater as Inflater
