import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataOffset, encodeMessage, Message } from '../../../gateway/ssh/wire/connection.ts';
import { Flow } from '../../../gateway/ssh/wire/flow.ts';

function flow(credit: number, maxPacket = 32768) {
  const delivered: Uint8Array[] = [];
  const granted: number[] = [];
  const subject = new Flow(
    { deliver: (message) => delivered.push(message.slice()), grantSender: (bytes) => granted.push(bytes) },
    credit,
    maxPacket,
  );
  return { subject, delivered, granted, text: () => delivered.map(textOf).join('|') };
}

const data = (text: string): Uint8Array => encodeMessage(Message.channelData, 7, text);
const stderr = (text: string): Uint8Array => encodeMessage(Message.channelExtendedData, 7, 1, text);
const close = encodeMessage(Message.channelClose, 7);

function textOf(message: Uint8Array): string {
  if (message[0] === Message.channelClose) return 'CLOSE';
  const prefix = message[0] === Message.channelExtendedData ? 'err:' : '';
  return prefix + Buffer.from(message.subarray(dataOffset(message))).toString();
}

test('data within the window passes unchanged and grants pass through', () => {
  const { subject, delivered, granted } = flow(10);
  const message = data('hello');
  subject.push(message);
  assert.deepEqual(delivered, [message]);
  subject.grant(5);
  assert.deepEqual(granted, [5]);
});

test('injected text is paid back from the next grants, and a sender that outran the receiver waits', () => {
  const { subject, granted, text } = flow(10);
  assert.equal(subject.inject(data('lock')), true);
  subject.push(data('0123456789'));
  assert.equal(text(), 'lock|012345', 'only what the receiver has room for');
  subject.push(close);
  assert.equal(text(), 'lock|012345', 'the close keeps its place behind the data');
  subject.grant(3);
  assert.deepEqual(granted, [], 'the sender has already used what the receiver grants now');
  subject.grant(3);
  assert.equal(text(), 'lock|012345|678|9|CLOSE');
  assert.deepEqual(granted, [2]);
});

test('text is not injected where the receiver has no room', () => {
  const { subject, delivered } = flow(3);
  assert.equal(subject.inject(data('lock')), false);
  assert.deepEqual(delivered, []);
});

test('swallowed input is granted back to its sender', () => {
  const { subject, delivered, granted } = flow(10);
  subject.swallow(data('rm -rf'));
  assert.deepEqual(granted, [6]);
  assert.deepEqual(delivered, []);
});

test('a held flow keeps everything in order until it is released', () => {
  const { subject, text } = flow(100);
  subject.held = true;
  subject.push(data('a'));
  subject.push(stderr('b'));
  subject.push(close);
  assert.equal(text(), '');
  subject.held = false;
  assert.equal(text(), 'a|err:b|CLOSE');
});

test('adoption: a smaller target window and packet size are kept, with nothing lost', () => {
  const { subject, granted, text } = flow(0);
  subject.adopt(4, 3, 10);
  subject.push(data('0123456789'));
  assert.equal(text(), '012|3');
  subject.grant(20);
  assert.equal(text(), '012|3|456|789');
  assert.deepEqual(granted, [14], 'of 20, 6 were already believed');
});

test('adoption: a larger target window is granted to the sender at once', () => {
  const { subject, granted } = flow(0);
  subject.adopt(2_097_152, 32_768, 32_768);
  assert.deepEqual(granted, [2_097_152 - 32_768]);
});

const MIB = 1024 ** 2;

test('the sender of a long stream is lent 256 KiB that no grant takes back', () => {
  const { subject, granted, delivered } = flow(6 * MIB);
  const piece = data('x'.repeat(32_768));
  for (let sent = 0; sent < 4 * MIB; sent += 32_768) {
    assert.deepEqual(granted, [], 'a stream is long from 4 MiB on');
    subject.push(piece);
  }
  assert.deepEqual(granted, [256 * 1024]);
  for (let sent = 0; sent < 2 * MIB + 256 * 1024; sent += 32_768) subject.push(piece);
  assert.equal(delivered.length, (6 * MIB) / 32_768, 'the receiver is not overrun: the rest waits');
  assert.throws(() => subject.push(data('x')), /overrun/);
  subject.grant(MIB);
  assert.deepEqual(
    granted,
    [256 * 1024, MIB],
    'what waited is there at once, and the sender gets the whole grant',
  );
  assert.equal(delivered.length, (6 * MIB + 256 * 1024) / 32_768);
});

test('text of the gateway is paid back from grants beside a loan', () => {
  const { subject, granted, text } = flow(5 * MIB, MIB);
  for (let mib = 0; mib < 4; mib += 1) subject.push(data('x'.repeat(MIB)));
  assert.equal(subject.inject(data('lock')), true);
  subject.grant(10);
  assert.deepEqual(granted, [256 * 1024, 6]);
  assert.ok(text().endsWith('|lock'));
});

test('nothing is lent to a terminal, nor beyond a window that every sender can count', () => {
  const terminal = flow(8 * MIB, MIB);
  terminal.subject.lends = false;
  for (let mib = 0; mib < 6; mib += 1) terminal.subject.push(data('x'.repeat(MIB)));
  assert.deepEqual(terminal.granted, []);
  const endless = flow(2 ** 31 - 1 + 4 * MIB, MIB);
  for (let mib = 0; mib < 4; mib += 1) endless.subject.push(data('x'.repeat(MIB)));
  assert.deepEqual(endless.granted, []);
});

test('the sum of what sender and receiver see is kept over random traffic', () => {
  let seed = 42;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    return seed % below;
  };
  for (let round = 0; round < 200; round += 1) {
    // Some of the streams are long.
    const long = round % 10 === 0;
    let believed = 1 + random(5_000) + (long ? 4 * MIB : 0);
    let room = believed;
    let sent = '';
    let received = '';
    const subject = new Flow(
      {
        deliver: (message) => {
          const part = textOf(message);
          room -= part.length;
          assert.ok(room >= 0, 'the receiver is never overrun');
          if (!part.startsWith('#')) received += part;
        },
        grantSender: (bytes) => {
          believed += bytes;
        },
      },
      room,
      long ? 4 * MIB : 1 + random(400),
    );
    if (long) {
      believed -= 4 * MIB;
      sent = 'x'.repeat(4 * MIB);
      subject.push(data(sent));
      assert.ok(believed > 5_000, 'it is lent to');
    }
    for (let step = 0; step < 100; step += 1) {
      const choice = random(10);
      if (choice < 6 && believed > 0) {
        const part = String(step % 10).repeat(1 + random(Math.min(believed, 900)));
        believed -= part.length;
        sent += part;
        subject.push(data(part));
      } else if (choice < 9) {
        const bytes = 1 + random(1_000);
        room += bytes;
        subject.grant(bytes);
      } else subject.inject(data('#'));
    }
    room += 1_000_000;
    subject.grant(1_000_000);
    assert.equal(received, sent);
  }
});

test('a sender that overruns its window is let pass or refused', () => {
  const passed = flow(10);
  passed.subject.push(data('0123456789a'));
  assert.equal(passed.text(), '0123456789a');
  const delivered: Uint8Array[] = [];
  const ends = { deliver: (message: Uint8Array) => delivered.push(message.slice()), grantSender() {} };
  const refused = new Flow(ends, 10, 32768, 'refused');
  refused.push(data('01234'));
  assert.throws(() => refused.push(data('56789a')), /6 bytes of data overrun the window/);
  refused.push(data('56789'));
  assert.throws(() => refused.push(data('a')), /overrun/);
  refused.grant(1);
  refused.push(data('a'));
  assert.equal(delivered.map(textOf).join('|'), '01234|56789|a');
});

test('a sender that overruns its window while its messages wait is stopped', () => {
  const { subject, text } = flow(10);
  subject.held = true;
  subject.push(data('0123456789'));
  assert.throws(() => subject.push(data('x')), /1 bytes of data overrun the window/);
  subject.held = false;
  assert.equal(text(), '0123456789');

  const other = flow(10).subject;
  other.held = true;
  const request = encodeMessage(Message.channelRequest, 7, 'env', false, 'n'.repeat(30_000));
  assert.throws(() => {
    for (let count = 0; count < 100; count += 1) other.push(request);
  }, /too large ones wait/);
  const small = flow(100_000).subject;
  small.held = true;
  assert.throws(() => {
    for (let count = 0; count < 20_000; count += 1) small.push(data('x'));
  }, /more than 16384 messages/);
});
