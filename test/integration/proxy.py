"""A TCP proxy between a backend and its store, that can be slow and can be cut.

    with Proxy(server.address) as proxy:
        proxy.address           where the store seems to be
        proxy.delay_s = 0.5     each piece of a reply arrives so much later
        proxy.piece = 20        and is no larger than so many octets
        proxy.cut()             no connection lives, none is taken
        proxy.mend()            new ones are

Delays are per piece: what is on its way goes on at the pace that is set when it is its turn.
"""

import select
import socket
import threading

import godwit


class Proxy:
    def __init__(self, target):
        host, _, port = target.rpartition(":")
        self.target = (host, int(port))
        self.port = godwit.free_port()
        self.delay_s = 0
        self.piece = 65536
        self.taken = 0  # connections so far
        self._ending = threading.Event()
        self._pairs = set()
        self._threads = []
        self._lock = threading.Lock()
        self._listener = None
        self.mend()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def mend(self):
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
            self._start(self._accept, self._listener)

    def cut(self):
        if self._listener is not None:
            # Wakes the thread that accepts; closing alone would not.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    _shut(end)

    def close(self):
        self._ending.set()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _start(self, run, *arguments):
        self._threads.append(threading.Thread(target=run, args=arguments))
        self._threads[-1].start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.add((client, server))
                self.taken += 1
            self._start(self._carry, client, server)

    def _carry(self, client, server):
        try:
            while not self._ending.is_set():
                for end in select.select([client, server], [], [], 0.2)[0]:
                    data = end.recv(self.piece)
                    if not data:
                        return
                    if end is server and self._ending.wait(self.delay_s):
                        return
                    (client if end is server else server).sendall(data)
        except OSError:
            pass
        finally:
            with self._lock:
                self._pairs.discard((client, server))
                for end in (client, server):
                    _shut(end)
                    end.close()


def _shut(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
