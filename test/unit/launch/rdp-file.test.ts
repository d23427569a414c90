import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { desktopFile, fileBytes } from '../../../gateway/launch/rdp-file.ts';
import { SigningError, signed } from '../../../gateway/launch/sign.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-rdp-file-'));
const keys = { key: join(folder, 'key.pem'), certificate: join(folder, 'cert.pem') };
const LINES = desktopFile({
  address: { host: 'gateway.example', port: 4489 },
  login: 'jürgen+root+win01',
  credential: 'launch-0123',
  nla: false,
  allow: ['desktop', 'clipboard-from-target', 'audio'],
});

before(() => {
  const args = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
  ];
  execFileSync(
    'openssl',
    [...args, '-subj', '/CN=gateway.example', '-keyout', keys.key, '-out', keys.certificate],
    {
      stdio: 'ignore',
    },
  );
});
after(() => rmSync(folder, { recursive: true }));

/** Takes the signature out of the lines and has OpenSSL check it against what the lines say. */
function verify(lines: readonly string[]): void {
  const value = (name: string) => lines.find((line) => line.startsWith(name))?.slice(name.length) ?? '';
  const scope = value('signscope:s:');
  const names = scope
    .split(',')
    .map((name) => (name === 'DrivesToRedirect' ? 'drivestoredirect' : name.toLowerCase()));
  const covered = names.map((name) => lines.find((line) => line.startsWith(`${name}:`)) ?? assert.fail(name));
  writeFileSync(
    join(folder, 'text'),
    `${[...covered, `signscope:s:${scope}`].join('\r\n')}\r\n\0`,
    'utf16le',
  );
  const blob = Buffer.from(value('signature:s:').replaceAll(' ', ''), 'base64');
  assert.deepEqual([blob.readUInt32LE(0), blob.readUInt32LE(4)], [0x0001_0001, 1]);
  assert.equal(blob.readUInt32LE(8), blob.length - 12);
  writeFileSync(join(folder, 'signature'), blob.subarray(12));
  const args = ['smime', '-verify', '-binary', '-inform', 'DER', '-in', join(folder, 'signature')];
  args.push(
    '-content',
    join(folder, 'text'),
    '-CAfile',
    keys.certificate,
    '-purpose',
    'any',
    '-out',
    '/dev/null',
  );
  execFileSync('openssl', args, { stdio: 'pipe' });
}

test('a desktop file says where, as whom and with what, and asks for no more than policy allows', () => {
  const has = (line: string) => assert.ok(LINES.includes(line), line);
  has('full address:s:gateway.example:4489');
  has('username:s:launch-0123\\jürgen+root+win01');
  has('redirectclipboard:i:1');
  has('drivestoredirect:s:');
  has('audiomode:i:0');
  has('audiocapturemode:i:0');
  has('redirectsmartcards:i:0');
  const v6 = desktopFile({
    address: { host: 'fd00::1', port: 1 },
    login: 'a',
    credential: 'b',
    nla: true,
    allow: ['drives'],
  });
  assert.ok(v6.includes('full address:s:[fd00::1]:1') && v6.includes('drivestoredirect:s:*'));
});

test('the file is UTF-16 with a mark, each line ended as Windows does', () => {
  const bytes = fileBytes(['a:s:ü', 'b:i:1']);
  assert.equal(
    bytes.toString('hex'),
    'fffe610 03a0073003a00fc000d000a0062003a0069003a0031000d000a00'.replaceAll(' ', ''),
  );
});

test('OpenSSL finds the signature right, and wrong once a line is changed', async () => {
  const lines = await signed(LINES, keys);
  assert.deepEqual(lines.slice(0, LINES.length), LINES);
  verify(lines);
  for (const [from, to] of [
    ['gateway.example', 'evil.example'],
    ['redirectprinters:i:0', 'redirectprinters:i:1'],
    ['Full Address,', ''],
  ] as const)
    assert.throws(
      () => verify(lines.map((line) => line.replace(from, to))),
      /Verification failure|verify/i,
      from,
    );
});

test('without a key that fits there is a reason, and nothing of the key in it', async () => {
  writeFileSync(join(folder, 'none.pem'), 'no key');
  await assert.rejects(signed(LINES, { ...keys, key: join(folder, 'none.pem') }), (error) => {
    assert.ok(error instanceof SigningError);
    assert.ok(!error.message.includes(readFileSync(keys.key, 'utf8').split('\n')[1] ?? ''));
    return true;
  });
});
