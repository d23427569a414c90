"""Paramiko as scripts use it: paramiko_client.py KNOWN_HOSTS HOST PORT LOGIN FOLDER

The password comes in SALLYPORT_TEST_PASSWORD. Prints one JSON object of what happened.
"""
import hashlib
import json
import os
import sys

import paramiko

known_hosts, host, port, login, folder = sys.argv[1:]
client = paramiko.SSHClient()
client.load_host_keys(known_hosts)
client.set_missing_host_key_policy(paramiko.RejectPolicy())
client.connect(
    host,
    port=int(port),
    username=login,
    password=os.environ["SALLYPORT_TEST_PASSWORD"],
    allow_agent=False,
    look_for_keys=False,
    timeout=20,
)
result = {}

# Before any channel: Paramiko itself blocks when one closes while it waits for new keys.
client.get_transport().renegotiate_keys()
_, stdout, _ = client.exec_command("echo rekeyed")
result["rekeyed"] = stdout.read().decode()


def digest(data):
    return hashlib.sha256(data).hexdigest()


stdin, stdout, stderr = client.exec_command("cat; echo problem >&2; exit 7", timeout=20)
data = os.urandom(400_000)
stdin.write(data)
stdin.channel.shutdown_write()
result["echo"] = digest(stdout.read()) == digest(data)
result["stderr"] = stderr.read().decode()
result["status"] = stdout.channel.recv_exit_status()

sftp = client.open_sftp()
content = os.urandom(5_000_003)
local = os.path.join(folder, "paramiko-up")
with open(local, "wb") as file:
    file.write(content)
# put() asks for the size afterwards and compares.
sftp.put(local, "paramiko file")
sftp.get("paramiko file", local + ".back")
with open(local + ".back", "rb") as file:
    result["sftp"] = digest(file.read()) == digest(content)
sftp.rename("paramiko file", "renamed")
result["listed"] = "renamed" in sftp.listdir(".")
result["size"] = sftp.stat("renamed").st_size
sftp.remove("renamed")
try:
    sftp.stat("renamed")
    result["removed"] = False
except FileNotFoundError:
    result["removed"] = True
# Both ask for all of it at once, which is some 6,000 requests; the second leaves while they are being answered.
client.exec_command("truncate -s 200000000 large")[1].channel.recv_exit_status()
with open(os.devnull, "wb") as nowhere:
    result["large"] = sftp.getfo("large", nowhere)
with sftp.open("large") as file:
    file.prefetch()
    result["beginning"] = len(file.read(1000))
sftp.remove("large")
sftp.close()

shell = client.invoke_shell(term="vt100", width=90, height=30)
shell.settimeout(20)
shell.send("stty size; echo shell-$((20+3)); exit 4\n")
screen = b""
while True:
    piece = shell.recv(4096)
    if not piece:
        break
    screen += piece
result["shell"] = b"30 90" in screen and b"shell-23" in screen
result["shellStatus"] = shell.recv_exit_status()

channels = []
for index in range(8):
    channel = client.get_transport().open_session(timeout=20)
    channel.exec_command("sleep 0.1; echo %d; exit %d" % (index, index))
    channels.append(channel)
result["channels"] = [
    [channel.makefile("r").read().decode().strip(), channel.recv_exit_status()] for channel in channels
]
client.close()
print(json.dumps(result))
