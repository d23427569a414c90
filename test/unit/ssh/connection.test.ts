import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dataOffset,
  encodeMessage,
  Message,
  readChannelOpen,
  readChannelRequest,
  readEndpoints,
  readTerminalRequest,
  recipientOf,
  SshWireError,
  WireReader,
} from '../../../gateway/ssh/wire/connection.ts';
import {
  needOfClientGlobal,
  needOfClientOpen,
  needOfSessionRequest,
  needOfTargetGlobal,
  needOfTargetOpen,
} from '../../../gateway/ssh/wire/permission.ts';

const command = (text: string): Uint8Array => encodeMessage(0, text).subarray(1);

test('channel open is read as RFC 4254 §5.1 lays it out', () => {
  const message = encodeMessage(Message.channelOpen, 'session', 3, 2_097_152, 32_768);
  const open = readChannelOpen(message);
  assert.deepEqual(
    { ...open, data: open.data.length },
    {
      type: 'session',
      sender: 3,
      window: 2_097_152,
      maxPacket: 32_768,
      data: 0,
    },
  );
});

const ENDPOINTS: readonly [string, (string | number)[], object][] = [
  // RFC 4254 §7.2, §6.3.2 and PROTOCOL of OpenSSH §2.4.
  [
    'direct-tcpip',
    ['db.example', 5432, '10.0.0.7', 40_001],
    { destination: 'db.example:5432', originator: '10.0.0.7:40001' },
  ],
  [
    'forwarded-tcpip',
    ['::1', 8080, 'fe80::2', 65_535],
    { destination: '[::1]:8080', originator: '[fe80::2]:65535' },
  ],
  ['x11', ['127.0.0.1', 6010], { originator: '127.0.0.1:6010' }],
  ['direct-streamlocal@openssh.com', ['/run/db.sock', '', 0], { destination: '/run/db.sock' }],
  ['forwarded-streamlocal@openssh.com', ['/run/agent.sock', ''], { destination: '/run/agent.sock' }],
  ['session', [], {}],
  ['auth-agent@openssh.com', [], {}],
];
for (const [type, fields, endpoints] of ENDPOINTS)
  test(`where a channel of type ${type} comes from and goes to is read`, () => {
    const message = encodeMessage(Message.channelOpen, type, 3, 2_097_152, 32_768, ...fields);
    assert.deepEqual(readEndpoints(readChannelOpen(message)), endpoints);
  });

test('endpoints that are cut off are errors', () => {
  for (const [type, fields, endpoints] of ENDPOINTS) {
    const needed = Object.keys(endpoints).length;
    if (needed === 0) continue;
    const open = readChannelOpen(encodeMessage(Message.channelOpen, type, 3, 1, 1, ...fields));
    // A socket path alone is read of the streamlocal channels; what follows it is reserved.
    const read = type.includes('streamlocal') ? 4 + String(fields[0]).length : open.data.length;
    for (let length = 0; length < read; length += 1)
      assert.throws(
        () => readEndpoints({ ...open, data: open.data.subarray(0, length) }),
        SshWireError,
        `${type} cut at ${length}`,
      );
  }
});

test('channel request and pty-req are read', () => {
  const message = encodeMessage(Message.channelRequest, 9, 'pty-req', true, 'xterm', 80, 24, 0, 0, '');
  assert.equal(recipientOf(message), 9);
  const request = readChannelRequest(message);
  assert.equal(request.type, 'pty-req');
  assert.equal(request.wantReply, true);
  assert.deepEqual(readTerminalRequest(request.data), { term: 'xterm', columns: 80, rows: 24 });
});

test('every truncation of a message is an error that names a field, never a crash', () => {
  const whole = encodeMessage(Message.channelRequest, 9, 'pty-req', true, 'xterm', 80, 24, 0, 0, '');
  for (let length = 1; length < whole.length - 16; length += 1)
    assert.throws(
      () => {
        const part = whole.subarray(0, length);
        recipientOf(part);
        readTerminalRequest(readChannelRequest(part).data);
      },
      SshWireError,
      `cut at ${length}`,
    );
});

test('a string length beyond the message is refused before it is read', () => {
  const message = Uint8Array.of(Message.globalRequest, 0xff, 0xff, 0xff, 0xff, 1);
  assert.throws(
    () => new WireReader(message).string('request name'),
    /request name at offset 5 needs 4294967295/,
  );
});

test('data whose length field lies is refused', () => {
  const message = encodeMessage(Message.channelData, 1, 'abc');
  assert.equal(dataOffset(message), 9);
  message[8] = 4;
  assert.throws(() => dataOffset(message), SshWireError);
});

test('each request needs the capability that policies name, and unknown ones are never allowed', () => {
  assert.equal(needOfClientOpen('session'), 'free');
  assert.equal(needOfClientOpen('direct-tcpip'), 'local-forward');
  assert.equal(needOfClientOpen('direct-streamlocal@openssh.com'), 'local-forward');
  assert.equal(needOfClientOpen('tun@openssh.com'), 'never');
  assert.equal(needOfTargetOpen('forwarded-tcpip'), 'remote-forward');
  assert.equal(needOfTargetOpen('x11'), 'x11');
  assert.equal(needOfTargetOpen('auth-agent@openssh.com'), 'agent-forward');
  assert.equal(needOfTargetOpen('session'), 'never');
  assert.equal(needOfClientGlobal('tcpip-forward'), 'remote-forward');
  assert.equal(needOfClientGlobal('hostkeys-prove-00@openssh.com'), 'never');
  assert.equal(needOfTargetGlobal('hostkeys-00@openssh.com'), 'never');
  assert.equal(needOfTargetGlobal('keepalive@openssh.com'), 'free');
  assert.equal(needOfSessionRequest('shell', new Uint8Array(), false), 'shell');
  assert.equal(needOfSessionRequest('exec', command('uptime'), false), 'exec');
  assert.equal(needOfSessionRequest('exec', command('scp -t /tmp/x'), false), 'scp');
  assert.equal(needOfSessionRequest('exec', command('scp -t /tmp/x; bash'), false), 'exec');
  assert.equal(needOfSessionRequest('subsystem', command('sftp'), false), 'sftp');
  assert.equal(needOfSessionRequest('subsystem', command('netconf'), false), 'exec');
  assert.equal(needOfSessionRequest('auth-agent-req@openssh.com', new Uint8Array(), false), 'agent-forward');
  assert.equal(needOfSessionRequest('exit-status', new Uint8Array(), false), 'never');
  // On a terminal nobody could follow them.
  assert.equal(needOfSessionRequest('exec', command('scp -t /tmp/x'), true), 'exec');
  assert.equal(needOfSessionRequest('subsystem', command('sftp'), true), 'exec');
});
