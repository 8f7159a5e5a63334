#!/usr/bin/env python3
"""Runs client_test.py of Eclipse paho.mqtt.testing (MQTT 3.1.1) as a user of a broker with passwords.

usage: paho.py DIRECTORY HOST PORT USER < PASSWORD     DIRECTORY: paho.mqtt.testing/interoperability

The suite knows neither users nor client ids that belong to them: each of its clients gets the user's name and a dash
before its id, and logs in. The user needs the filters of docs/brokers.md, "Conformance".
"""
import os
import runpy
import sys

if len(sys.argv) != 5:
    sys.exit(__doc__)
directory, host, port, user = sys.argv[1:]
password = sys.stdin.readline().rstrip("\n")
os.chdir(directory)
sys.path.insert(0, directory)
import mqtt.clients.V311 as suite  # noqa: E402

connect = suite.Client.connect


def connect_as_user(self, **more):
    given = self.clientid if isinstance(self.clientid, bytes) else self.clientid.encode()
    own = user.encode() + b"-"
    if given and not given.startswith(own):
        self.clientid = own + given
    more.update(host=host, port=int(port), username=user, password=password.encode())
    return connect(self, **more)


suite.Client.connect = connect_as_user
sys.argv = ["client_test.py"]
runpy.run_path("client_test.py", run_name="__main__")
