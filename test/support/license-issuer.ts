/** A server that issues licences ([MS-RDPELE] 3.2), with a key of its own, to clients whose answers are right. */
import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, type KeyObject, privateDecrypt, randomBytes } from 'node:crypto';
import { type LicenseKeys, licenseKeys, licenseMac } from '../../gateway/rdp/back/license-client.ts';
import { Rc4 } from '../../gateway/rdp/credssp/rc4.ts';
import { IO_CHANNEL, sendOnIoChannel } from '../../gateway/rdp/front/accept.ts';
import { Reader, Writer } from '../../gateway/rdp/pdu/cursor.ts';
import { LicenseBlob, LicenseMessage } from '../../gateway/rdp/pdu/license.ts';
import { readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import { encodeSecurityHeader, SecurityFlag } from '../../gateway/rdp/pdu/security.ts';
import type { PduStream } from '../../gateway/rdp/stream/stream.ts';

/** What Windows sends, and rdesktop wants: ten bytes. */
const CHALLENGE = Buffer.from('TEST\0', 'utf16le');

/** What a client showed for its licence. */
export interface Issued {
  readonly userName: string;
  readonly machineName: string;
  /** CLIENT_HARDWARE_ID, 20 bytes. */
  readonly hardwareId: Buffer;
}

export interface IssuerOptions {
  /** Of what an X.509 chain says instead of RDP's own kind of certificate: DER, the server's own last. */
  readonly chain?: readonly Uint8Array[];
  /** The key in the certificate; a new one of RSA-512 by default. */
  readonly privateKey?: KeyObject;
  readonly upgrade?: boolean;
  /** Changes what is sent, message by message. */
  readonly tamper?: (message: Buffer, type: number) => Buffer;
}

/** Says what one side of licensing says, to the end. @throws AssertionError when the client answers wrongly */
export async function issueLicense(stream: PduStream, options: IssuerOptions = {}): Promise<Issued> {
  const privateKey = options.privateKey ?? generateKeyPairSync('rsa', { modulusLength: 512 }).privateKey;
  const serverRandom = randomBytes(32);
  const send = (type: number, write: (writer: Writer) => void): void =>
    sendMessage(stream, type, write, options.tamper);
  send(LicenseMessage.licenseRequest, (writer) => {
    writer.bytes(serverRandom).u32le(0x0006_0000);
    counted(writer, utf16z('Microsoft Corporation'));
    counted(writer, utf16z('A02'));
    blob(writer, LicenseBlob.keyExchange, Uint8Array.of(1, 0, 0, 0));
    blob(writer, LicenseBlob.certificate, certificate(privateKey, options.chain));
    writer.u32le(1);
    blob(writer, LicenseBlob.scope, Buffer.from('microsoft.com\0'));
  });

  const request = await receive(stream, LicenseMessage.newLicenseRequest);
  assert.equal(request.u32le('PreferredKeyExchangeAlg'), 1);
  request.skip('PlatformId', 4);
  const clientRandom = request.bytes('ClientRandom', 32);
  const premaster = decryptPremaster(privateKey, readBlob(request));
  const [userName, machineName] = [readBlob(request), readBlob(request)].map((name) =>
    name.toString('latin1').replace(/\0$/, ''),
  );
  const keys = licenseKeys(premaster, clientRandom, serverRandom);

  send(LicenseMessage.platformChallenge, (writer) => {
    writer.u32le(0);
    sealed(writer, keys, CHALLENGE);
  });
  const answer = await receive(stream, LicenseMessage.platformChallengeResponse);
  const response = crypt(keys, readBlob(answer));
  const hardwareId = crypt(keys, readBlob(answer));
  const mac = answer.bytes('MACData', 16);
  assert.deepEqual(Buffer.from(mac), Buffer.from(licenseMac(keys, response, hardwareId)), 'its MAC');
  assert.equal(response.readUInt16LE(0), 0x0100, 'wVersion');
  assert.deepEqual(response.subarray(8, 8 + response.readUInt16LE(6)), CHALLENGE);
  assert.equal(hardwareId.length, 20);

  send(options.upgrade ? LicenseMessage.upgradeLicense : LicenseMessage.newLicense, (writer) => {
    const license = new Writer();
    license.u32le(0x0006_0000);
    counted(license, Buffer.from('microsoft.com\0'));
    counted(license, utf16z('Microsoft Corporation'));
    counted(license, utf16z('A02'));
    counted(license, randomBytes(900));
    sealed(writer, keys, license.done());
  });
  assert.ok(userName !== undefined && machineName !== undefined);
  return { userName, machineName, hardwareId };
}

/** A proprietary certificate (2.2.1.4.3.1.1), its signature zeros; or a chain ([MS-RDPELE] 2.2.1.4.2). */
function certificate(privateKey: KeyObject, chain: readonly Uint8Array[] | undefined): Uint8Array {
  const writer = new Writer(512);
  if (chain !== undefined) {
    writer.u32le(2).u32le(chain.length);
    for (const each of chain) counted(writer, each);
    return writer.zeros(8 + 4 * chain.length).done();
  }
  const { n } = privateKey.export({ format: 'jwk' });
  const modulus = Buffer.from(n ?? assert.fail(), 'base64url').reverse();
  writer
    .u32le(1)
    .u32le(1)
    .u32le(1)
    .u16le(6)
    .u16le(20 + modulus.length + 8)
    .bytes(Buffer.from('RSA1'))
    .u32le(modulus.length + 8)
    .u32le(modulus.length * 8)
    .u32le(modulus.length - 1)
    .u32le(65537)
    .bytes(modulus)
    .zeros(8);
  return writer.u16le(8).u16le(72).zeros(72).done();
}

/** Of little-endian RSA without padding; the client's zeros behind it fall. */
function decryptPremaster(privateKey: KeyObject, encrypted: Buffer): Buffer {
  assert.ok(encrypted.subarray(-8).equals(Buffer.alloc(8)), 'the padding');
  const key = { key: privateKey, padding: constants.RSA_NO_PADDING };
  const plain = privateDecrypt(key, Buffer.from(encrypted.subarray(0, -8)).reverse()).reverse();
  assert.ok(
    plain.subarray(48).every((byte) => byte === 0),
    'a premaster secret of 48 bytes',
  );
  return plain.subarray(0, 48);
}

function crypt({ encryption }: LicenseKeys, bytes: Uint8Array): Buffer {
  return Buffer.from(new Rc4(encryption).apply(bytes));
}

function sealed(writer: Writer, keys: LicenseKeys, data: Uint8Array): void {
  blob(writer, LicenseBlob.encryptedData, crypt(keys, data));
  writer.bytes(licenseMac(keys, data));
}

function sendMessage(
  stream: PduStream,
  type: number,
  write: (writer: Writer) => void,
  tamper: IssuerOptions['tamper'],
): void {
  const writer = new Writer(512);
  writer.u8(type).u8(0x03).u16le(0);
  write(writer);
  writer.patchU16le(2, writer.length);
  const message = Buffer.from(writer.done());
  sendOnIoChannel(stream, (out) => {
    encodeSecurityHeader(out, SecurityFlag.licensePacket);
    out.bytes(tamper?.(message, type) ?? message);
  });
}

async function receive(stream: PduStream, type: number): Promise<Reader> {
  const pdu = await stream.next();
  const data = readSendData(pdu) ?? assert.fail('not a Send Data Request');
  assert.equal(data.channelId, IO_CHANNEL);
  const reader = new Reader(pdu, data.dataOffset);
  assert.equal(reader.u16le('flags') & SecurityFlag.licensePacket, SecurityFlag.licensePacket);
  reader.skip('flagsHi', 2);
  assert.equal(reader.u8('bMsgType'), type, 'bMsgType');
  reader.skip('flags and wMsgSize', 3);
  return reader;
}

function readBlob(reader: Reader): Buffer {
  reader.skip('wBlobType', 2);
  return Buffer.from(reader.bytes('blobData', reader.u16le('wBlobLen')));
}

function blob(writer: Writer, type: number, data: Uint8Array): void {
  writer.u16le(type).u16le(data.length).bytes(data);
}

function counted(writer: Writer, data: Uint8Array): void {
  writer.u32le(data.length).bytes(data);
}

function utf16z(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, 'utf16le');
}
