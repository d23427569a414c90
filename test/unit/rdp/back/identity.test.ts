/** How the gateway proves itself at targets: RDSTLS, old and new CredSSP, and what they say to refuse it. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { ntlmHash, sessionBaseKeyOf } from '../../../../gateway/rdp/credssp/ntlm.ts';
import { subjectPublicKeyOf } from '../../../../gateway/rdp/credssp/public-key.ts';
import { CredSspServer } from '../../../../gateway/rdp/credssp/server.ts';
import {
  decodeTsRequest,
  encodeTsRequest,
  tsRequestLength,
} from '../../../../gateway/rdp/credssp/ts-request.ts';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { RdstlsResult } from '../../../../gateway/rdp/pdu/rdstls.ts';
import { Protocol } from '../../../../gateway/rdp/pdu/x224.ts';
import type { PduStream } from '../../../../gateway/rdp/stream/stream.ts';
import { TargetError } from '../../../../gateway/session/dial.ts';
import { CERTIFICATE, type Dialling, dialling, TLS_FINGERPRINT } from '../legs.ts';
import { startProvingTarget } from '../proving-target.ts';

/** What a broker gave: all of it opaque but the names. */
const REDIRECTION = {
  sessionId: 0x1234,
  routingToken: 'Cookie: msts=1.2.3',
  rdstls: {
    redirectionGuid: Buffer.from('{guid}', 'utf16le'),
    userName: 'admin',
    domain: 'CORP',
    password: Uint8Array.of(2, 0, 0, 0x80, 0x44, 0x53, 0x48, 0x4c),
  },
};

function words(...values: readonly number[]): Uint8Array {
  const writer = new Writer();
  for (const value of values) writer.u16le(value);
  return writer.done();
}

/** The server's side of RDSTLS; keeps the request that it got. */
function rdstls(result: number, requests: Uint8Array[], first: Uint8Array = words(1, 1, 1, 1)) {
  return async (stream: PduStream): Promise<void> => {
    stream.send(first);
    requests.push(await stream.next((_bytes, at, end) => (end > at ? end - at : undefined)));
    stream.send(
      new Writer()
        .bytes(words(1, 4, 1))
        .u32le(result)
        .done(),
    );
  };
}

function failsWith(code: string, message: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof TargetError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

test('RDSTLS passes on what the redirection gave, as [MS-RDPBCGR] 2.2.17.2 lays it out', async (t) => {
  const requests: Uint8Array[] = [];
  const target = await startProvingTarget(t, Protocol.rdstls, rdstls(RdstlsResult.success, requests));
  const { stream } = await dialling(target.port, { redirection: REDIRECTION });
  stream.destroy();
  const text = (value: string) => Buffer.from(value, 'utf16le');
  const field = (value: Uint8Array) => Buffer.concat([words(value.length), value]);
  const { redirectionGuid, password } = REDIRECTION.rdstls;
  assert.deepEqual(
    requests.map((request) => Buffer.from(request)),
    [
      Buffer.concat([
        words(1, 2, 1),
        field(redirectionGuid),
        field(text('admin\0')),
        field(text('CORP\0')),
        field(password),
      ]),
    ],
  );
  const [client] = target.clients;
  assert.equal(client?.requestedProtocols, Protocol.ssl | Protocol.rdstls);
  assert.equal(client.blocks.core.serverSelectedProtocol, Protocol.rdstls);
  // Redirections are followed, in their version 5, and the session is named.
  assert.deepEqual(client.blocks.cluster, { flags: 0x13, redirectedSessionId: 0x1234 });
});

test('a target that refuses what the redirection gave says why', async (t) => {
  for (const [result, why] of [
    [RdstlsResult.accessDenied, 'access denied'],
    [RdstlsResult.logonFailure, 'wrong user name or password'],
    [RdstlsResult.invalidLogonHours, 'not allowed at this hour'],
    [RdstlsResult.passwordExpired, 'the password has expired'],
    [RdstlsResult.accountDisabled, 'the account is disabled'],
    [RdstlsResult.passwordMustChange, 'the password must be changed first'],
    [RdstlsResult.accountLockedOut, 'the account is locked'],
    [0x71f, 'error 0x71f'],
  ] as const) {
    const target = await startProvingTarget(t, Protocol.rdstls, rdstls(result, []));
    await assert.rejects(
      dialling(target.port, { redirection: REDIRECTION }),
      failsWith('target-auth-failed', new RegExp(`does not accept what the redirection gave .*: ${why}$`)),
    );
    assert.deepEqual(target.clients, []);
  }
});

test('a target that speaks RDSTLS wrongly, or unasked, is told of', async (t) => {
  for (const [first, why] of [
    [words(1, 1, 1, 2), /does not speak RDSTLS version 1/],
    [words(1, 4, 1, 0, 0), /broke the protocol: PduType .* is a response/],
    [words(2, 1, 1, 1), /broke the protocol: Version .* is 2/],
  ] as const) {
    const target = await startProvingTarget(t, Protocol.rdstls, rdstls(0, [], first));
    await assert.rejects(
      dialling(target.port, { redirection: REDIRECTION }),
      failsWith('target-unreachable', why),
    );
  }
  const unasked = await startProvingTarget(t, Protocol.rdstls, rdstls(0, []));
  await assert.rejects(dialling(unasked.port), failsWith('target-unreachable', /chose security protocol 4/));
});

/** The server's side of NLA in this version of CredSSP, for admin of CORP with this password. */
function nla(version: number, password = 'leased') {
  return async (stream: PduStream): Promise<void> => {
    const server = new CredSspServer({
      publicKey: subjectPublicKeyOf(new X509Certificate(CERTIFICATE).raw),
      targetName: 'win01',
      verify: async (proof) =>
        proof.user === 'admin' && proof.domain === 'CORP'
          ? sessionBaseKeyOf(ntlmHash(password), proof)
          : undefined,
    });
    const older = (bytes: Uint8Array): Uint8Array =>
      encodeTsRequest({ ...decodeTsRequest(new Reader(bytes)), version });
    for (;;) {
      const request = await stream.next((bytes, at, end) => tsRequestLength(bytes.subarray(at, end)));
      const { send, done } = await server.receive(older(request));
      if (send !== undefined) stream.send(older(send));
      if (done !== undefined) return;
    }
  };
}

/** Dials, and says what was pinned. */
async function pinning(port: number, options: Dialling = {}): Promise<string[]> {
  const pinned: string[] = [];
  const { stream } = await dialling(port, { ...options, pin: async (shown) => void pinned.push(shown) });
  stream.destroy();
  return pinned;
}

for (const version of [2, 3, 4]) {
  test(`CredSSP version ${version} is refused on first use, and nothing is pinned`, async (t) => {
    const target = await startProvingTarget(t, Protocol.hybrid, nla(version));
    let pinned = 0;
    const pin = async () => {
      pinned += 1;
    };
    for (const attempt of ['the first', 'another'])
      await assert.rejects(
        dialling(target.port, { pin }),
        failsWith('target-unreachable', /is not trusted yet: it speaks CredSSP version \d, .*CVE-2018-0886/),
        attempt,
      );
    assert.deepEqual([pinned, target.clients], [0, []]);
  });

  test(`CredSSP version ${version} is spoken with a target whose certificate was known before`, async (t) => {
    const target = await startProvingTarget(t, Protocol.hybrid, nla(version));
    assert.deepEqual(await pinning(target.port, { identity: TLS_FINGERPRINT }), []);
    assert.equal(target.clients[0]?.blocks.core.serverSelectedProtocol, Protocol.hybrid);
  });
}

test('newer versions are trusted on first use', async (t) => {
  for (const version of [5, 6]) {
    const target = await startProvingTarget(t, Protocol.hybrid, nla(version));
    assert.deepEqual(await pinning(target.port), [TLS_FINGERPRINT]);
  }
});

test('a certificate that cannot be pinned is not given the credential', async (t) => {
  for (const [protocol, prove] of [
    [Protocol.hybrid, nla(6)],
    [Protocol.ssl, async () => {}],
  ] as const) {
    const target = await startProvingTarget(t, protocol, prove);
    const pin = () => Promise.reject(new Error('another certificate was pinned meanwhile'));
    await assert.rejects(
      dialling(target.port, { pin }),
      failsWith('target-certificate', /cannot pin the certificate .*: another certificate was pinned/),
    );
    assert.deepEqual(target.clients, []);
  }
});

test('what NLA refuses an account for is told, and whether that is the account', async (t) => {
  for (const [status, code, why] of [
    [
      0xc000006d,
      'target-auth-failed',
      /does not accept the credential of CORP\\admin: .* user name and password/,
    ],
    [0xc000006a, 'target-auth-failed', /does not accept this password/],
    [0xc0000064, 'target-auth-failed', /does not know this user/],
    [0xc0000071, 'target-auth-failed', /the password has expired/],
    [0xc0000224, 'target-auth-failed', /wants the password changed first/],
    [0xc0000072, 'target-auth-failed', /the account is disabled/],
    [0xc0000193, 'target-auth-failed', /the account has expired/],
    [0xc0000234, 'target-auth-failed', /the account is locked/],
    [0xc000006f, 'target-auth-failed', /does not allow this account at this hour/],
    [0xc0000418, 'target-unreachable', /network level authentication .* failed: .* has NTLM blocked/],
    [0xc000005e, 'target-unreachable', /cannot reach a domain controller/],
    [0x8009030f, 'target-certificate', /is not to be trusted: .* a message was altered/],
    [0x12345678, 'target-unreachable', /ended the log-on \(status 0x12345678\)/],
  ] as const) {
    const target = await startProvingTarget(t, Protocol.hybrid, async (stream) => {
      await stream.next((bytes, at, end) => tsRequestLength(bytes.subarray(at, end)));
      stream.send(encodeTsRequest({ version: 6, errorCode: status }));
      await stream.next();
    });
    await assert.rejects(dialling(target.port), failsWith(code, why), status.toString(16));
  }
});

test('a wrong password is told of, whatever the version can say', async (t) => {
  for (const version of [5, 6]) {
    const target = await startProvingTarget(t, Protocol.hybrid, async (stream) => {
      await nla(
        version,
        'another',
      )(stream).catch((error: { reply?: Uint8Array }) => {
        if (error.reply !== undefined) stream.send(error.reply);
        stream.end();
        throw error;
      });
    });
    await assert.rejects(
      dialling(target.port),
      failsWith('target-auth-failed', /does not accept the credential of CORP\\admin/),
    );
  }
});

test('an account that may not log on is told of by HYBRID_EX', async (t) => {
  const target = await startProvingTarget(t, Protocol.hybridEx, async (stream) => {
    await nla(6)(stream);
    stream.send(Uint8Array.of(5, 0, 0, 0));
    await stream.next();
  });
  await assert.rejects(
    dialling(target.port),
    failsWith('target-auth-failed', /does not accept the credential of CORP\\admin: may not log on here/),
  );
});
