import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import ssh2 from 'ssh2';
import { checkPersonKey, checkPrivateKey, checkPublicKey } from '../../../gateway/apply/keys.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-keys-'));
after(() => rmSync(folder, { recursive: true }));

for (const type of ['ed25519', 'ecdsa', 'rsa'])
  test(`an encrypted ${type} key is opened once, and OpenSSH itself reads the result`, () => {
    const file = join(folder, type);
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', 'pass phrase', '-C', '', '-f', file]);
    const checked = checkPrivateKey(readFileSync(file, 'utf8'), 'pass phrase');
    assert.ok('value' in checked);
    const [kind, blob] = readFileSync(`${file}.pub`, 'utf8').trim().split(' ');
    const parsed = ssh2.utils.parseKey(checked.value);
    assert.ok(!(parsed instanceof Error));
    assert.equal(parsed.getPublicSSH().toString('base64'), blob);
    const signature = parsed.sign(Buffer.from('signed'));
    assert.ok(Buffer.isBuffer(signature) && parsed.verify(Buffer.from('signed'), signature) === true);
    const plain = join(folder, `${type}-open`);
    writeFileSync(plain, checked.value, { mode: 0o600 });
    const shown = execFileSync('ssh-keygen', ['-y', '-P', '', '-f', plain], { encoding: 'utf8' });
    assert.equal(shown.trim().split(' ').slice(0, 2).join(' '), `${kind} ${blob}`);
    assert.deepEqual(
      checkPrivateKey(readFileSync(file, 'utf8'), 'pass phrase'),
      checked,
      'the same each time',
    );
    assert.ok('problem' in checkPrivateKey(readFileSync(file, 'utf8'), 'wrong'));
  });

test('a person logs on with no DSA key, though an old system may have one', () => {
  // Made by hand (RFC 4253 §6.6): new versions of ssh-keygen make none.
  const numbers = [128, 20, 128, 128].map((bytes) =>
    Buffer.concat([Buffer.of(0), Buffer.alloc(bytes, 0x81)]),
  );
  const fields = [Buffer.from('ssh-dss'), ...numbers].flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(field.length);
    return [length, field];
  });
  const line = `ssh-dss ${Buffer.concat(fields).toString('base64')} old`;
  assert.deepEqual(checkPublicKey(line), { value: line });
  const refused = checkPersonKey(line);
  assert.match('problem' in refused ? refused.problem : '', /^is a DSA key/);
});
