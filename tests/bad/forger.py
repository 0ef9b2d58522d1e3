# SPDX-License-Identifier: Apache-2.0
"""One who has the prover's key: makes digests and traces, and signs what they please with openssl,
so that none of these gives a forgery away.
"""
import base64
import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf(data):
    return sha256(b'\x00' + data)


def root(leaves):
    """RFC 9162."""
    if not leaves:
        return sha256(b'')
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    return sha256(b'\x01' + root(leaves[:split]) + root(leaves[split:]))


class Forger:
    """Works in a folder, which becomes the present one, with a home of its own."""

    def __init__(self, folder):
        os.chdir(folder)
        for name in list(os.environ):
            if name.startswith(('XDG_', 'VOLT_')):
                del os.environ[name]
        os.environ['HOME'] = os.path.join(folder, 'home')
        os.mkdir('home')

    @staticmethod
    def call(*command, **environment):
        """With a memory of its own, for a verifier remembers what a signer gave before."""
        state = tempfile.mkdtemp(dir='.')
        return subprocess.run(command, capture_output=True, text=True, timeout=120,
                              env={**os.environ, 'XDG_STATE_HOME': os.path.abspath(state),
                                   **environment})

    @staticmethod
    def sign_anew(folder, change):
        """Has change(payload) change the receipt of a folder, and signs it."""
        receipt = json.loads((folder / 'receipt.json').read_text())
        payload = json.loads(base64.b64decode(receipt['payload']))
        change(payload)
        body = json.dumps(payload, sort_keys=True, separators=(',', ':'),
                          ensure_ascii=False).encode()
        kind = receipt['payloadType'].encode()
        Path('pae').write_bytes(b'DSSEv1 %d %s %d %s' % (len(kind), kind, len(body), body))
        signature = subprocess.run(['openssl', 'dgst', '-sha256', '-sign',
                                    'home/.config/volt/keys/sign.pem', 'pae'],
                                   capture_output=True, check=True).stdout
        receipt['payload'] = base64.b64encode(body).decode()
        receipt['signatures'][0]['sig'] = base64.b64encode(signature).decode()
        (folder / 'receipt.json').write_text(json.dumps(receipt))

    @classmethod
    def two_faces(cls, folder, name, library):
        """Has a receipt name, and everybody see, another output than the worker of a gpu-verify
        that is called in the environment which this returns: to that it reads as before.
        """
        right = (folder / name).read_bytes()
        shown = Path(f'{folder}.{name}')
        shown.write_bytes(right)
        other = right[:-1] + bytes([right[-1] ^ 1])
        (folder / name).write_bytes(other)

        def change(payload):
            for subject in payload['subject']:
                if subject['name'] == name:
                    subject['digest']['sha256'] = sha256(other).hex()
        cls.sign_anew(folder, change)
        return {'LD_PRELOAD': library, 'ASAN_OPTIONS': 'verify_asan_link_order=0',
                'TWO_FACED_FILE': os.path.realpath(folder / name),
                'TWO_FACED_SHOWN': os.path.realpath(shown)}
