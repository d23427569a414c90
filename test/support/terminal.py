"""Runs a program on a terminal of its own: terminal.py COLUMNS ROWS PROGRAM ARGUMENT...

Standard input goes to the terminal, what the terminal shows goes to standard output, byte for
byte. Descriptor 3 takes lines "COLUMNS ROWS" that change the size. Ends with the program's code.
"""
import ctypes
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios


def resize(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def end_with_parent():
    """Who kills this helper ends what runs on its terminal too: clients stay connected without one."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def lead(program, ended, leave):
    """Runs the program below a session leader that outlives it.

    When a session leader ends, Linux hangs the terminal up and drops what the terminal has not
    handed over yet (tty_ldisc_hangup): on a busy machine, the program's last words.
    """
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(ignored, signal.SIG_IGN)
    end_with_parent()
    pid = os.fork()
    if pid == 0:
        end_with_parent()
        for each in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
            signal.signal(each, signal.SIG_DFL)
        os.closerange(3, 64)
        os.execvp(program[0], program)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    os.write(ended, bytes([code if code >= 0 else 128 - code]))
    os.read(leave, 1)
    os._exit(0)


def show(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]


def drain(master):
    """Shows everything that the terminal still holds."""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:
            return
        if not data:
            return
        show(data)


def main():
    columns, rows, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    ended, tell_ended = os.pipe()
    leave, tell_leave = os.pipe()
    pid, master = pty.fork()
    if pid == 0:
        os.close(3)
        os.close(ended)
        os.close(tell_leave)
        resize(0, columns, rows)
        lead(program, tell_ended, leave)
    os.close(tell_ended)
    os.set_blocking(master, False)
    watched = [0, 3, ended, master]
    control = b""
    typed = b""
    while True:
        # Nothing more is taken from the keyboard while the terminal has no room for what it holds.
        wanted = [fd for fd in watched if fd != 0 or not typed]
        ready, room, _ = select.select(wanted, [master] if typed else [], [])
        if master in ready:
            show(os.read(master, 65536))
        if ended in ready:
            code = os.read(ended, 1)
            drain(master)
            os._exit(code[0] if code else 255)
        if 0 in ready:
            typed = os.read(0, 4096)
            if not typed:
                watched.remove(0)
        if room:
            try:
                typed = typed[os.write(master, typed):]
            except BlockingIOError:
                pass
        if 3 in ready:
            data = os.read(3, 4096)
            if not data:
                watched.remove(3)
            control += data
            *lines, control = control.split(b"\n")
            for line in lines:
                resize(master, *(int(number) for number in line.split()))


main()
