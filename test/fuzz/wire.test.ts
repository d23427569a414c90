import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyProtocolError, parseProxyHeader } from '../../gateway/listener/wire/proxy-protocol.ts';
import { Picker } from '../../gateway/ssh/picker.ts';
import { WaitingRoom } from '../../gateway/ssh/wire/file-content.ts';
import { parseScpCommand } from '../../gateway/ssh/wire/scp-command.ts';
import { ScpObserver, ScpProtocolError } from '../../gateway/ssh/wire/scp-observer.ts';
import { SftpObserver, SftpProtocolError } from '../../gateway/ssh/wire/sftp-observer.ts';
import { seeded } from '../support/random.ts';
import { collector, readTranscript, replay, sha256 } from '../support/replay.ts';

/**
 * Real streams with random bytes changed, cut out or put in: an observer goes on or throws
 * its own error, never another, and stays within its bounds. A failure names its seed.
 */
function damaged(bytes: Uint8Array, random: () => number): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit);
  const out = Uint8Array.from(bytes);
  for (let i = below(3); i > 0; i--) out[below(Math.min(out.length, 64))] = below(256);
  const cut = below(8) === 0 ? below(out.length) : out.length;
  return out.subarray(0, cut);
}

for (const name of ['sftp-batch', 'scp-upload-recursive', 'scp-download-recursive', 'scp-file-refused']) {
  test(`damaged ${name}`, () => {
    const { command, chunks } = readTranscript(name);
    const own = name.startsWith('sftp') ? SftpProtocolError : ScpProtocolError;
    let ended = 0;
    for (let seed = 0; seed < 150; seed++) {
      const random = seeded(seed);
      const sink = collector();
      const parsed = parseScpCommand(command);
      const observer =
        parsed === undefined
          ? new SftpObserver(sink, sha256, new WaitingRoom())
          : new ScpObserver(parsed, sink, sha256);
      const start = Math.floor(random() * chunks.length);
      const broken = chunks.map(([side, bytes], index) =>
        index < start || random() < 0.9
          ? ([side, bytes] as const)
          : ([side, damaged(bytes, random)] as const),
      );
      try {
        replay(observer, broken, () => 1 + Math.floor(random() * 20_000));
      } catch (error) {
        assert.ok(error instanceof own, `seed ${seed}: ${error}`);
        ended++;
      }
      observer.end();
      for (const operation of sink.operations) assert.ok(operation.path.length <= 4097, `seed ${seed}`);
    }
    assert.ok(ended > 0, 'no damage was ever noticed');
  });
}

test('random headers of a load balancer parse, wait or throw their own error', () => {
  const starts = [
    'PROXY TCP4 ',
    'PROXY TCP6 ',
    'PROXY UNKNOWN',
    '\r\n\r\n\0\r\nQUIT\n!\x11\0',
    '\r\n\r\n\0\r\nQUIT\n\x21\x21\0',
  ];
  const letters = '0123456789abcdef.: \r\n\0\x0c\x24\xff';
  for (let seed = 0; seed < 5000; seed++) {
    const random = seeded(seed);
    let text = starts[Math.floor(random() * starts.length)] ?? '';
    for (let i = Math.floor(random() * 200); i > 0; i--)
      text += letters[Math.floor(random() * letters.length)];
    const bytes = new Uint8Array(Buffer.from(text, 'latin1'));
    try {
      const parsed = parseProxyHeader(bytes);
      if ('header' in parsed) assert.ok(parsed.length <= bytes.length, `seed ${seed}`);
      else assert.ok(bytes.length < 4096, `seed ${seed}`);
    } catch (error) {
      assert.ok(error instanceof ProxyProtocolError, `seed ${seed}: ${error}`);
    }
  }
});

test('random commands are never scp once a shell would run more than one program', () => {
  const parts = [
    'scp',
    ' ',
    ' ',
    '-t',
    '-f',
    '-r',
    '--',
    'x',
    "'",
    '"',
    '\\',
    ';',
    '|',
    '&',
    '$',
    '`',
    '(',
    '\n',
    '*',
    '~',
    '<',
    '#',
  ];
  for (let seed = 0; seed < 20_000; seed++) {
    const random = seeded(seed);
    let command = 'scp -t ';
    for (let i = Math.floor(random() * 8); i > 0; i--) command += parts[Math.floor(random() * parts.length)];
    if (parseScpCommand(command) === undefined) continue;
    // Without what is quoted, nothing may be left that a shell acts upon.
    const bare = command.replaceAll(/\\.|'[^']*'|"(?:[^"\\]|\\.)*"/g, '');
    assert.doesNotMatch(bare, /[;|&$`()<>\n#*]/, command);
    const quoted = [...command.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(
      ([, inner]) => inner?.replaceAll(/\\./g, '') ?? '',
    );
    if (!command.includes("'"))
      assert.ok(
        quoted.every((inner) => !/[$`]/.test(inner)),
        command,
      );
  }
});

test('random keys keep the picker whole', () => {
  const choices = Array.from({ length: 30 }, (_, i) => ({
    account: 'a',
    system: `s${i}`,
    protocol: 'ssh',
    policy: 'p',
  }));
  const keys = [
    '\x1b[A',
    '\x1b[B',
    '\x1b[5~',
    '\x1b[6~',
    '\x1b[H',
    '\x1b[F',
    's',
    '1',
    '2',
    '\x7f',
    '\x15',
    '\x17',
    'ü',
    '\x00',
    '\x1bx',
  ];
  for (let seed = 0; seed < 60; seed++) {
    const random = seeded(seed);
    const picker = new Picker(choices, { columns: 40, rows: 2 + Math.floor(random() * 40) });
    picker.start();
    for (let i = 0; i < 40; i++) {
      if (random() < 0.1)
        picker.resize({ columns: 20 + Math.floor(random() * 80), rows: 2 + Math.floor(random() * 50) });
      const { output } = picker.input(Buffer.from(keys[Math.floor(random() * keys.length)] ?? ''));
      // One row is chosen, unless none is there.
      assert.notEqual(output.includes('\x1b[7m'), output.includes('H0/30 '), `seed ${seed}`);
    }
    picker.input(Buffer.from('\x15'));
    const { picked } = picker.input(Buffer.from('\r'));
    assert.ok(picked !== undefined && picked >= 0 && picked < 30, `seed ${seed}`);
  }
});
