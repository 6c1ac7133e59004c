"""A small hub on this machine, of datasets that take commits and of revisions of models: what huggingface_hub's client asks of the real one, for HF_ENDPOINT."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40
_MODEL = re.compile(
    r"/(?:api/models/)?(?P<repository>tests/[^/]+)(?:/(?:revision|tree|resolve)/(?P<revision>[^/]+)(?:/(?P<file>.+))?)?"
)


def commit_of(repository, revision):
    """The commit of a model's revision."""
    return hashlib.sha1(f"{repository}@{revision}".encode()).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Keeps every committed file in `server.files`, by repository and path; models are folders in `server.models`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Say nothing."""

    def answer(self, body, status=200, **headers):
        """Send bytes, or anything else as JSON."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        """Files, and lists of them."""
        path = self.path.partition("?")[0]
        if found := _MODEL.fullmatch(path):
            return self.answer_model(found["repository"], found["revision"] or "main", found["file"])
        if "/resolve/main/" in path:
            repository, _, name = path.removeprefix("/datasets/").partition("/resolve/main/")
            if (content := self.server.files.get(repository, {}).get(name)) is None:
                return self.answer({"error": "none"}, 404, X_Error_Code="EntryNotFound")
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            return self.answer(content, ETag=etag, X_Repo_Commit=COMMIT)
        repository = "/".join(path.removeprefix("/api/datasets/").split("/")[:2])
        files = self.server.files.get(repository, {})
        if "/tree/" in path:
            sizes = {name: len(content) for name, content in files.items()}
            return self.answer([{"type": "file", "oid": "b", "size": n, "path": name} for name, n in sizes.items()])
        siblings = [{"rfilename": name} for name in files]
        return self.answer({"id": repository, "sha": COMMIT, "private": True, "siblings": siblings})

    def answer_model(self, repository, revision, file):
        """A file of a model's revision, by name or commit, or what there is to say of the revision."""
        known = {commit_of(*key): folder for key, folder in self.server.models.items()} | self.server.models
        folder = known.get((repository, revision)) or known.get(revision)
        if folder is None:
            return self.answer({"error": f"Invalid rev id: {revision}"}, 404, X_Error_Code="RevisionNotFound")
        commit = revision if revision in known else commit_of(repository, revision)
        if file is None:
            files = [{"rfilename": one.name} for one in folder.iterdir()]
            return self.answer({"id": repository, "sha": commit, "siblings": files, "tags": []})
        if not (folder / file).is_file():
            return self.answer({"error": "none"}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        content = (folder / file).read_bytes()
        return self.answer(content, ETag=f'"{hashlib.sha1(content).hexdigest()}"', X_Repo_Commit=commit)

    do_HEAD = do_GET

    def do_POST(self):
        """Repositories and commits."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        here = f"http://127.0.0.1:{self.server.server_port}/datasets"
        repository = "/".join(self.path.removeprefix("/api/datasets/").split("/")[:2])
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            return self.answer({"url": f"{here}/{asked['organization']}/{asked['name']}"})
        if "/preupload/" in self.path:
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            return self.answer({"files": [{**file, "shouldIgnore": False, "oid": None} for file in files]})
        if "/commit/" in self.path:
            lines = map(json.loads, body.splitlines())
            files = {line["value"]["path"]: line["value"]["content"] for line in lines if line["key"] == "file"}
            kept = self.server.files.setdefault(repository, {})
            kept.update({name: base64.b64decode(content) for name, content in files.items()})
            url = f"{here}/{repository}/commit/{COMMIT}"
            return self.answer({"commitUrl": url, "commitOid": COMMIT, "success": True})
        return self.answer({"errors": [], "warnings": []})  # /api/validate-yaml


@contextmanager
def hub(models=()):
    """A running hub: its address, and the files that it has been given.

    Args:
        models: folders by repository, which begins with `tests/`, and revision.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.files, server.models = {}, dict(models)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", server.files
        server.shutdown()
