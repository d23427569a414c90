/** OpenSSH's client on a terminal: shells, sizes, signals from the keyboard, full screens. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before } from 'node:test';
import { type Bed, DIRECT, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { openTerminal } from '../support/terminal.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
let bed: Bed;
before(async () => {
  if (obstacle(NEEDS) === undefined) bed = await startBed();
});
after(() => bed?.stop());

testWith(NEEDS, 'a shell has the terminal type and size of the client', async () => {
  const terminal = sshTerminal(bed.door, ['target'], { columns: 101, rows: 33, env: { TERM: 'vt220' } });
  await terminal.expect('$ ');
  terminal.type('echo "$TERM"; stty size; tty\r');
  await terminal.expect(/vt220\r\n33 101\r\n\/dev\/pts\/\d+\r\n\$ /);
  terminal.type('exit 5\r');
  assert.equal(await terminal.ended, 5);
});

testWith(NEEDS, 'a window change reaches the target, again and again', async () => {
  // Asks again instead of trapping SIGWINCH: bash loses one that comes while its trap still runs.
  const script =
    'echo ready; while :; do now=$(stty size); [ "$now" = "$was" ] || echo "size:$now:"; was=$now; sleep 0.05; done';
  const terminal = sshTerminal(bed.door, ['-t', 'target', script]);
  await terminal.expect('ready');
  for (const [columns, rows] of [
    [132, 50],
    [40, 10],
    [300, 90],
  ] as const) {
    terminal.resize(columns, rows);
    await terminal.expect(`size:${rows} ${columns}:`);
  }
  terminal.type('\x03');
  assert.notEqual(await terminal.ended, 0);
});

testWith(NEEDS, 'Ctrl-C interrupts, Ctrl-Z stops, Ctrl-D ends', async () => {
  const terminal = sshTerminal(bed.door, ['target']);
  await terminal.expect('$ ');
  // Each program says when it runs: a key that comes earlier would reach the shell instead.
  terminal.type(`sh -c 'echo slee""ping; exec sleep 100'\r`);
  await terminal.expect('sleeping');
  terminal.type('\x03');
  await terminal.expect('^C');
  await terminal.expect('$ ');
  terminal.type('echo "after $?"\r');
  await terminal.expect('after 130');
  terminal.type(`sh -c 'echo rea""ding; exec cat'\r`);
  await terminal.expect('reading');
  terminal.type('\x1a');
  await terminal.expect('Stopped');
  await terminal.expect('$ ');
  terminal.type('echo "after $?"\r');
  await terminal.expect('after 148');
  terminal.type('kill -KILL %1; while kill -0 %1 2>/dev/null; do sleep 0.05; done; echo go""ne\r');
  await terminal.expect('gone');
  terminal.type(`sh -c 'echo rea""ding; exec cat'\r`);
  await terminal.expect('reading');
  terminal.type('\x04');
  await terminal.expect('$ ');
  terminal.type('\x04');
  assert.equal(await terminal.ended, 0);
});

testWith(NEEDS, 'what is typed ahead is not lost', async () => {
  const terminal = sshTerminal(bed.door, ['target']);
  terminal.type('echo typed-$((40+2))-ahead\rexit 9\r');
  await terminal.expect('typed-42-ahead');
  assert.equal(await terminal.ended, 9);
});

testWith(NEEDS, 'a long paste arrives whole', async () => {
  const terminal = sshTerminal(bed.door, [
    '-tt',
    'target',
    'stty raw -echo; echo ready; head -c 60000 | sha256sum; stty sane',
  ]);
  await terminal.expect('ready');
  terminal.type('0123456789'.repeat(6000));
  await terminal.expect(createHash('sha256').update('0123456789'.repeat(6000)).digest('hex'));
  await terminal.ended;
});

testWith(NEEDS, 'terminal modes of the client are carried over', async () => {
  const terminal = openTerminal(
    'sh',
    ['-c', `stty intr ^X -echo; exec ssh -F ${bed.door.sshConfig} -q -t target 'stty -a; echo end'`],
    { env: bed.door.env },
  );
  await terminal.expect('intr = ^X');
  await terminal.expect(/-echo\b/);
  assert.equal(await terminal.ended, 0);
});

testWith(NEEDS, 'ssh -tt gives a terminal to a command without one at the client', async () => {
  const result = await ssh(bed.door, ['-tt', 'target', 'tty; echo err >&2; exit 4'], {
    input: '',
    env: { TERM: 'xterm' },
  });
  assert.match(result.text, /^\/dev\/pts\/\d+\r\nerr\r\n$/);
  assert.equal(result.code, 4);
  const none = await ssh(bed.door, ['-T', 'target', 'tty']);
  assert.equal(none.text, 'not a tty\n');
});

testWith(NEEDS, 'a shell without a terminal reads its commands from standard input', async () => {
  const result = await ssh(bed.door, ['-T', 'target'], { input: 'echo one\necho two >&2\nexit 6\n' });
  assert.deepEqual([result.code, result.text, result.stderr], [6, 'one\n', 'two\n']);
});

testWith(NEEDS, 'megabytes of output scroll by unharmed and can be interrupted', async () => {
  const terminal = sshTerminal(bed.door, ['-t', 'target', 'seq 200000; echo finished']);
  await terminal.expect('finished\r\n', 30_000);
  assert.equal(await terminal.ended, 0);
  const expected = `${Array.from({ length: 200_000 }, (_, i) => i + 1).join('\r\n')}\r\nfinished\r\n`;
  assert.ok(terminal.screen.equals(Buffer.from(expected)));

  const endless = sshTerminal(bed.door, ['target']);
  await endless.expect('$ ');
  endless.type('yes\r');
  await endless.expect('y\r\ny\r\n');
  endless.type('\x03');
  await endless.expect('^C', 20_000);
  await endless.expect('$ ', 20_000);
  endless.type('exit\r');
  await endless.ended;
});

testWith(NEEDS, 'UTF-8 passes in both directions', async () => {
  const terminal = sshTerminal(bed.door, ['-t', 'target', 'read -r line; echo "<$line>"']);
  terminal.type('grüße €😀 終\r');
  await terminal.expect(Buffer.from('<grüße €😀 終>').toString('latin1'));
  assert.equal(await terminal.ended, 0);
});

testWith([...NEEDS, 'tmux'], 'a full-screen program draws, takes keys and ends', async () => {
  const terminal = sshTerminal(bed.door, ['-t', 'target', 'tmux -f /dev/null new-session "bash --norc"']);
  await terminal.expect('\x1b[?1049h');
  terminal.type('echo in-$((1+1))-tmux\r');
  await terminal.expect('in-2-tmux');
  terminal.resize(120, 40);
  // The status line takes one row; the new size is not there at once.
  terminal.type('until [ "$(stty size)" = "39 120" ]; do sleep 0.05; done; echo re""sized\r');
  await terminal.expect('resized');
  terminal.type('exit\r');
  await terminal.expect('\x1b[?1049l');
  assert.equal(await terminal.ended, 0);
});

testWith(NEEDS, 'the password can be typed at the prompt of the client', async () => {
  const args = ['-F', bed.door.sshConfig, '-q', 'target', 'echo in'];
  const env = { ...bed.door.env, SSH_ASKPASS_REQUIRE: 'never' };
  const terminal = openTerminal('ssh', args, { env });
  await terminal.expect(/assword: ?/);
  terminal.type(`${bed.door.password}\r`);
  await terminal.expect('in\r\n');
  assert.equal(await terminal.ended, 0);
  assert.ok(!terminal.screen.includes(bed.door.password));
});

if (!DIRECT)
  testWith(NEEDS, 'keyboard-interactive takes the password as well', async () => {
    const args = ['-F', bed.door.sshConfig, '-q', '-o', 'PreferredAuthentications=keyboard-interactive'];
    const env = { ...bed.door.env, SSH_ASKPASS_REQUIRE: 'never' };
    const terminal = openTerminal('ssh', [...args, 'target', 'echo in'], { env });
    await terminal.expect(/assword: ?/);
    terminal.type(`${bed.door.password}\r`);
    await terminal.expect('in\r\n');
    assert.equal(await terminal.ended, 0);
  });
