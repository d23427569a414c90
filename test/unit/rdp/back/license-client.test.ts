/** Licences at a target that issues them, over the whole handshake. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  LicenseClient,
  type LicenseKeys,
  licenseKeys,
  licenseMac,
} from '../../../../gateway/rdp/back/license-client.ts';
import { Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { decodeLicense, LicenseError, LicenseMessage } from '../../../../gateway/rdp/pdu/license.ts';
import { TargetError } from '../../../../gateway/session/dial.ts';
import type { IssuerOptions } from '../../../support/license-issuer.ts';
import { type Broker, startBroker } from '../../../support/rdp-broker.ts';
import { temporaryFolder } from '../../../support/temp.ts';
import { makeCertificate } from '../../../support/xrdp.ts';
import { dialling, realBlocks, TLS } from '../legs.ts';

async function issuer(t: TestContext, license: IssuerOptions): Promise<Broker> {
  const broker = await startBroker({ tls: TLS, redirections: [], license });
  t.after(() => broker.stop());
  return broker;
}

for (const upgrade of [false, true])
  test(`${upgrade ? 'an upgraded' : 'a new'} licence is taken, for the device that the person sits at`, async (t) => {
    const broker = await issuer(t, { upgrade });
    for (const _ of [1, 2]) (await dialling(broker.port)).stream.destroy();
    const [first, second] = broker.visits;
    assert.ok(first?.issued !== undefined, String(first?.error));
    assert.equal(first.issued.userName, 'admin');
    assert.equal(first.issued.machineName, realBlocks().core.clientName);
    assert.equal(first.issued.hardwareId.readUInt32LE(0), 0x0401_0000);
    assert.deepEqual(second?.issued, first.issued, 'a licence server knows it again');
    const core = { ...realBlocks().core, clientName: 'ELSEWHERE' };
    (await dialling(broker.port, { blocks: { ...realBlocks(), core } })).stream.destroy();
    assert.notDeepEqual(broker.visits[2]?.issued?.hardwareId, first.issued.hardwareId);
  });

test('the key may be in a chain of X.509 certificates', async (t) => {
  const folder = temporaryFolder('license');
  await makeCertificate(folder, 'license.test');
  const chain = [1, 2].map(() => new X509Certificate(readFileSync(join(folder, 'cert.pem'))).raw);
  const privateKey = createPrivateKey(readFileSync(join(folder, 'key.pem')));
  const broker = await issuer(t, { chain, privateKey });
  (await dialling(broker.port)).stream.destroy();
  assert.ok(broker.visits[0]?.issued !== undefined, String(broker.visits[0]?.error));
});

/** A message with its bit flipped, `back` bytes from its end. */
function flipped(message: Buffer, back: number): Buffer {
  const changed = Buffer.from(message);
  changed.writeUInt8(changed.readUInt8(changed.length - back) ^ 1, changed.length - back);
  return changed;
}

/** An alert (2.2.1.12.1.3) with this code, total abort. */
function alert(code: number): Buffer {
  return Buffer.from([0xff, 3, 16, 0, code, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0]);
}

let firstRequest: Uint8Array = new Uint8Array();
for (const [what, tamper, words] of [
  [
    'changes its challenge on the way',
    (message: Buffer, type: number) =>
      type === LicenseMessage.platformChallenge ? flipped(message, 20) : message,
    /gives the gateway no client licence: its licensing message was altered/,
  ],
  [
    'changes its licence on the way',
    (message: Buffer, type: number) => (type === LicenseMessage.newLicense ? flipped(message, 1) : message),
    /no client licence: its licensing message was altered/,
  ],
  [
    'has none left',
    (message: Buffer, type: number) =>
      type === LicenseMessage.platformChallenge ? alert(LicenseError.noLicense) : message,
    /no client licence: it has no licence left to give/,
  ],
  ['reaches no licence server', () => alert(LicenseError.noLicenseServer), /it reaches no licence server/],
  [
    'does not like the client',
    () => alert(LicenseError.invalidClient),
    /does not license this kind of client/,
  ],
  ['says something unknown', () => alert(77), /licensing failed there \(error 77\)/],
  [
    'asks twice',
    (message: Buffer, type: number) =>
      type === LicenseMessage.licenseRequest ? message : Buffer.from(firstRequest),
    /broke the protocol: bMsgType .* is a second licence request/,
  ],
  [
    'has a certificate of no kind',
    (message: Buffer) => {
      const changed = Buffer.from(message);
      changed.writeUInt8(9, message.indexOf(Buffer.from('RSA1')) - 16);
      return changed;
    },
    /broke the protocol: dwVersion .* is 9/,
  ],
] as const)
  test(`a target that ${what} is told of`, async (t) => {
    const broker = await issuer(t, {
      tamper: (message, type) => {
        if (type === LicenseMessage.licenseRequest) firstRequest = message;
        return tamper(message, type);
      },
    });
    await assert.rejects(dialling(broker.port), (error) => {
      assert.ok(error instanceof TargetError, String(error));
      assert.equal(error.code, 'target-unreachable');
      assert.match(error.message, words);
      return true;
    });
  });

test('messages out of turn are refused', () => {
  const client = () => new LicenseClient({ userName: 'u', machineName: 'm' });
  const mac = new Uint8Array(16);
  const challenge = { kind: 'challenge', encryptedChallenge: new Uint8Array(4), mac } as const;
  assert.throws(() => client().receive(challenge), /challenge out of turn/);
  const license = { kind: 'new', encryptedLicense: new Uint8Array(4), mac } as const;
  assert.throws(() => client().receive(license), /licence that nobody asked for/);
  const answer = decodeLicense(new Reader(Buffer.from([0x13, 3, 4, 0])));
  assert.throws(() => client().receive(answer), /is 0x13, which servers do not send/);
});

test('keys and MAC are those of 5.1.2 and 5.1.5', () => {
  // Computed with another program from the formulas of the specification.
  const bytes = (from: number, length: number) => Uint8Array.from({ length }, (_, i) => from + i);
  const keys: LicenseKeys = licenseKeys(bytes(0, 48), bytes(100, 32), bytes(200, 32));
  assert.equal(Buffer.from(keys.macSalt).toString('hex'), 'ea4a0b623ba76a96ee12861b16f80ddc');
  assert.equal(Buffer.from(keys.encryption).toString('hex'), '61d5f35c5e0edf3673e163a92d2e1455');
  assert.equal(
    Buffer.from(licenseMac(keys, bytes(1, 3), bytes(4, 2))).toString('hex'),
    '62d24ee051af75cfb7fdb6bc0ee3ad7c',
  );
});
