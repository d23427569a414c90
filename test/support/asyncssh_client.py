"""AsyncSSH as scripts use it: asyncssh_client.py KNOWN_HOSTS HOST PORT LOGIN FOLDER

The password comes in SALLYPORT_TEST_PASSWORD. Prints one JSON object of what happened.
"""
import asyncio
import hashlib
import json
import os
import sys

import asyncssh


def digest(data):
    return hashlib.sha256(data).hexdigest()


async def main():
    known_hosts, host, port, login, folder = sys.argv[1:]
    result = {}
    async with asyncssh.connect(
        host,
        port=int(port),
        username=login,
        password=os.environ["SALLYPORT_TEST_PASSWORD"],
        known_hosts=known_hosts,
        client_keys=None,
        agent_path=None,
        config=None,
        login_timeout=20,
    ) as connection:
        done = await connection.run("cat; echo problem >&2; exit 7", input="hello")
        result["exec"] = [done.stdout, done.stderr, done.exit_status]

        data = os.urandom(400_000)
        many = await asyncio.gather(
            *(connection.run("cat; exit %d" % index, input=data, encoding=None) for index in range(10))
        )
        result["channels"] = [one.exit_status for one in many]
        result["echo"] = all(digest(one.stdout) == digest(data) for one in many)

        killed = await connection.run("kill -USR1 $$")
        result["signal"] = killed.exit_signal[0]

        process = await connection.create_process("echo up; sleep 60")
        # A signal that overtakes the start of the program is lost at the server.
        await process.stdout.readline()
        process.terminate()
        await process.wait()
        result["terminated"] = process.exit_signal[0] if process.exit_signal else process.exit_status

        local = os.path.join(folder, "asyncssh-up")
        content = os.urandom(5_000_003)
        with open(local, "wb") as file:
            file.write(content)
        async with connection.start_sftp_client() as sftp:
            await sftp.put(local, "asyncssh file")
            await sftp.get("asyncssh file", local + ".back")
            await sftp.rename("asyncssh file", "asyncssh renamed")
            result["listed"] = "asyncssh renamed" in await sftp.listdir(".")
            await sftp.remove("asyncssh renamed")
        with open(local + ".back", "rb") as file:
            result["sftp"] = digest(file.read()) == digest(content)

        async with connection.create_process(term_type="vt100", term_size=(90, 30)) as shell:
            shell.stdin.write("stty size; exit 4\n")
            screen = await shell.stdout.read()
            await shell.wait()
            result["shell"] = ["30 90" in screen, shell.exit_status]

        listener = await connection.forward_local_port("127.0.0.1", 0, host, int(os.environ["ECHO_PORT"]))
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
        writer.write(b"through")
        writer.write_eof()
        result["forward"] = (await reader.read()).decode()
        listener.close()
    print(json.dumps(result))


asyncio.run(main())
