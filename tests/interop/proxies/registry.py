"""The proxies there are: how each is run, and what of docs/proxies.md it can do.

``<folder>``, ``<port>`` and ``<upstream>`` stand for what only a running test knows; ``<site>`` for
the configuration on the page.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

HASTY = 3  # seconds: the deadlines of the page, where a test waits for them


@dataclass(frozen=True)
class Entry:
    program: str
    package: str  # Debian's
    arguments: tuple[str, ...]  # of its command line, to stay in the foreground
    around: str  # what a distribution's own files have around the site
    filled: dict[str, str]  # what is on the page: what it is here
    hasty: dict[str, str]  # the same, where it has to be quick
    reload: signal.Signals | tuple[str, ...]  # or the arguments of a command
    sees_silence: bool = True  # else the kernel keeps a connection on which nothing has come
    cuts_idle: bool = True
    kept_on_reload: bool = True  # open connections live on; else they are closed with 1001
    most_connections: int | None = 50  # of one address
    http2: str = ""  # what its log says of a WebSocket over HTTP/2 (RFC 8441), if it does that


NGINX = """\
daemon off;
worker_processes 1;
pid <folder>/pid;
error_log stderr;
events { worker_connections 1024; }
http {
access_log off;
client_body_temp_path <folder>/body;
proxy_temp_path <folder>/proxy;
fastcgi_temp_path <folder>/fastcgi;
uwsgi_temp_path <folder>/uwsgi;
scgi_temp_path <folder>/scgi;
<site>
}
"""
APACHE = """\
ServerName localhost
DefaultRuntimeDir <folder>
PidFile <folder>/pid
ErrorLog /dev/stderr
Listen 127.0.0.1:<port>
<site>
"""
APACHE_MODULES = [
    *("mpm_event", "authz_core", "socache_shmcb", "reqtimeout", "ssl", "headers", "proxy"),
    "proxy_http",
]
CADDY_GLOBAL = """\
{
    admin unix/<folder>/admin
    auto_https disable_redirects
    servers {"""
CADDY_SITE = """\
https://127.0.0.1:<port> {
    bind 127.0.0.1
    tls <folder>/site.pem <folder>/site.pem"""
HAPROXY_BIND = """\
log stdout format raw local0
    log-format "%HV %ST"
    bind 127.0.0.1:<port> """
CADDY = ("--config", "<folder>/config", "--adapter", "caddyfile")

PROXIES = {
    "nginx": Entry(
        program="nginx",
        package="nginx-light",
        arguments=("-p", "<folder>", "-c", "<folder>/config"),
        around=NGINX,
        filled={
            "listen 443 ssl": "listen 127.0.0.1:<port> ssl",
            "/etc/ssl/site.pem": "<folder>/site.pem",
            "/etc/ssl/site.key": "<folder>/site.pem",
            "127.0.0.1:8000": "127.0.0.1:<upstream>",
        },
        hasty={
            "client_header_timeout 10s": f"client_header_timeout {HASTY}s",
            "proxy_read_timeout 60s": f"proxy_read_timeout {HASTY}s",
            "proxy_send_timeout 60s": f"proxy_send_timeout {HASTY}s",
        },
        reload=signal.SIGHUP,
    ),
    "haproxy": Entry(
        program="haproxy",
        package="haproxy",
        arguments=("-W", "-f", "<folder>/config"),
        around="<site>",
        filled={
            "bind :443 ": HAPROXY_BIND,
            "/etc/haproxy/site.pem": "<folder>/site.pem",
            "127.0.0.1:8000": "127.0.0.1:<upstream>",
        },
        hasty={  # only the last must count once a connection is upgraded
            "timeout http-request 10s": f"timeout http-request {HASTY - 1}s",
            "timeout client 10s": f"timeout client {HASTY - 1}s",
            "timeout server 60s": f"timeout server {HASTY - 1}s",
            "timeout tunnel 60s": f"timeout tunnel {HASTY}s",
        },
        reload=signal.SIGUSR2,
        http2="HTTP/2.0 101",
    ),
    "apache": Entry(
        program="apache2",
        package="apache2",
        arguments=("-D", "FOREGROUND", "-d", "<folder>", "-f", "<folder>/config"),
        around="".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
            for name in APACHE_MODULES
        )
        + APACHE,
        filled={
            "*:443": "127.0.0.1:<port>",
            "/etc/ssl/site.pem": "<folder>/site.pem",
            "/etc/ssl/site.key": "<folder>/site.pem",
            "127.0.0.1:8000": "127.0.0.1:<upstream>",
        },
        hasty={
            "handshake=10 header=10": f"handshake={HASTY} header={HASTY}",
            "\n    Timeout 60": f"\n    Timeout {HASTY}",
        },
        reload=signal.SIGUSR1,
        sees_silence=False,
        most_connections=None,
    ),
    "caddy": Entry(
        program="caddy",
        package="caddy",
        arguments=("run", *CADDY),
        around="<site>",
        filled={
            "{\n    servers {": CADDY_GLOBAL,
            "example.com {": CADDY_SITE,
            "127.0.0.1:8000": "127.0.0.1:<upstream>",
        },
        hasty={"read_header 10s": f"read_header {HASTY}s"},
        reload=("reload", "--force", *CADDY, "--address", "unix/<folder>/admin"),
        cuts_idle=False,
        kept_on_reload=False,
        most_connections=None,
    ),
}
