# SPDX-License-Identifier: Apache-2.0
"""The web server of curl_test.cpp, on 127.0.0.1 and any free port, which it prints. It ends on
/quit, when the test that started it is gone, or after two minutes."""

import http.server
import os
import threading
import time

BODY = bytes(range(256)) * 1000
tries = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin(self, status, length=None):
        """The head of an answer whose body is not as it should be."""
        self.close_connection = True
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()

    def endless(self, status):
        self.begin(status)
        while True:
            self.wfile.write(b"x" * 65536)

    def do_GET(self):
        global tries
        port = self.server.server_address[1]
        match self.path.partition("?")[0]:
            case "/ok":
                self.answer(200, BODY)
            case "/empty":
                self.answer(200)
            case "/missing":
                self.answer(404, b"no such thing")
            case "/moved":
                self.answer(302, b"moved", Location="/ok")
            case "/loop":
                self.answer(302, Location="/loop")
            case "/to-file":
                self.answer(302, Location="file:///etc/passwd")
            case "/to-user":
                self.answer(302, Location=f"http://me:secret@127.0.0.1:{port}/ok")
            case "/endless":
                self.endless(200)
            case "/endless-404":
                self.endless(404)
            case "/short":
                self.begin(200, length=1000)
                self.wfile.write(b"x" * 10)
            case "/busy":
                tries += 1
                if tries % 2 == 1:
                    self.answer(503, b"busy", Retry_After="7")
                else:
                    self.answer(200, BODY)
            case "/slow":
                self.begin(200, length=1000)
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(20)
            case "/headers":
                self.answer(200, str(self.headers).encode())
            case "/quit":
                self.answer(200)
                threading.Timer(0.05, os._exit, [0]).start()
            case _:
                self.answer(400)

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass  # the client has enough

    def log_message(self, *_):
        pass


def watch(parent):
    for _ in range(120):
        time.sleep(1)
        if os.getppid() != parent:
            break
    os._exit(1)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=watch, args=[os.getppid()], daemon=True).start()
print(server.server_address[1], flush=True)
server.serve_forever()
