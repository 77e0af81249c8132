"""docs/hosts.md says what is: what is replaced, in which versions, and what was measured."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from wsfast.cli.bench.contenders import CONTENDERS
from wsfast.integrations._hosts import HOSTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "hosts.md"
TABLES = ROOT / "benchmarks" / "hosts_table.py"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="needs a checkout")


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("hosts_table", TABLES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", [name for name, host in HOSTS.items() if host.groups])
def test_every_seam_is_named(name, page):
    pytest.importorskip(HOSTS[name].groups[0].trigger)
    for group in HOSTS[name].groups:
        importlib.import_module(group.trigger)
        for seam in importlib.import_module(group.driver).SEAMS:
            assert f"`{seam.target.partition(':')[2]}`" in page


def test_every_host_can_be_switched_on_as_it_says(page):
    for name, host in HOSTS.items():
        assert f'install("{name}")' in page or host.supported_hook.partition("--ws ")[2] in page


def test_the_table_is_that_of_the_result_it_names(page, tables):
    (name,) = re.findall(r"\(\.\./benchmarks/results/(.+?\.json)\)", page)
    result = ROOT / "benchmarks" / "results" / name
    assert tables.replaced(page, tables.section(result)) == page
    document = json.loads(result.read_text(encoding="utf-8"))
    assert {server["id"] for server in document["servers"]} == set(CONTENDERS)
