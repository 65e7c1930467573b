"""The HTTP face of a process: typed routes in, problem+json and OpenAPI out.

``route`` says what an endpoint is and knows no web library; ``openapi`` describes routes; ``accept`` checks a request;
``connection``, ``incoming`` and ``streaming`` are the only files that import aiohttp.
"""

from ticketflow.runtime.http.route import Handler, Reply, Request, Route
from ticketflow.runtime.http.server import HttpServer
from ticketflow.runtime.problem import Problem

__all__ = ["Handler", "HttpServer", "Problem", "Reply", "Request", "Route"]
