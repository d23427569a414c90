"""Runs a program on a terminal of its own: terminal.py COLUMNS ROWS PROGRAM ARGUMENT...

Standard input goes to the terminal, what the terminal shows goes to standard output, byte for
byte. Descriptor 3 takes lines "COLUMNS ROWS" that change the size. Ends with the program's code.
"""
import fcntl
import os
import pty
import select
import struct
import sys
import termios


def resize(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main():
    columns, rows, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    pid, master = pty.fork()
    if pid == 0:
        os.close(3)
        resize(0, columns, rows)
        os.execvp(program[0], program)
    os.set_blocking(master, False)
    watched = [0, 3, master]
    control = b""
    typed = b""
    while True:
        # Nothing more is taken from the keyboard while the terminal has no room for what it holds.
        wanted = [fd for fd in watched if fd != 0 or not typed]
        ready, room, _ = select.select(wanted, [master] if typed else [], [])
        if master in ready:
            try:
                data = os.read(master, 65536)
            except OSError:  # EIO: the last process left the terminal
                data = b""
            if not data:
                break
            view = memoryview(data)
            while view:
                view = view[os.write(1, view):]
        if 0 in ready:
            typed = os.read(0, 4096)
            if not typed:
                watched.remove(0)
        if room:
            try:
                typed = typed[os.write(master, typed):]
            except BlockingIOError:
                pass
            except OSError:  # EIO: seen by the read above as well
                typed = b""
        if 3 in ready:
            data = os.read(3, 4096)
            if not data:
                watched.remove(3)
            control += data
            *lines, control = control.split(b"\n")
            for line in lines:
                resize(master, *(int(number) for number in line.split()))
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


main()
