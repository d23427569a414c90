/**
 * The certificate of a server in licensing and in Standard RDP Security, [MS-RDPBCGR] 2.2.1.4.3: one of
 * RDP's own kind (2.2.1.4.3.1.1) or a chain of X.509 ones ([MS-RDPELE] 2.2.1.4.2). Nobody trusts it here,
 * TLS has proved who the server is: only its key is wanted.
 *
 * ```
 * proprietary: dwVersion (4)  dwSigAlgId (4)  dwKeyAlgId (4)
 *              wPublicKeyBlobType (2)  wPublicKeyBlobLen (2)
 *              "RSA1" (4)  keylen (4)  bitlen (4)  datalen (4)  pubExp (4)  modulus (keylen, little-endian)
 * chain:       dwVersion (4)  NumCertBlobs (4)  then each: cbCert (4)  abCert
 * ```
 */
import type { Reader } from './cursor.ts';

/** Without the bit that says whether it was issued for good. */
const VERSION_MASK = 0x7fff_ffff;
const PROPRIETARY = 1;
const X509_CHAIN = 2;
const RSA_KEY_BLOB = 6;
/** "RSA1". */
const RSA_MAGIC = 0x3141_5352;
/** Zeros behind the modulus, counted in keylen. */
const MODULUS_PADDING = 8;
/** RSA with 8192 bits; the rule is 512 and 2048. */
const MAX_MODULUS_BYTES = 1024;
/** Server, issuers, root: a handful. */
const MAX_CERTIFICATES = 16;

export type ServerCertificate =
  /** `modulus`: little-endian, without padding. */
  | { readonly kind: 'proprietary'; readonly exponent: number; readonly modulus: Uint8Array }
  /** In DER, of the server itself: the last of the chain. */
  | { readonly kind: 'x509'; readonly certificate: Uint8Array };

export function decodeServerCertificate(reader: Reader): ServerCertificate {
  const version = reader.u32le('dwVersion') & VERSION_MASK;
  if (version === PROPRIETARY) return decodeProprietary(reader);
  if (version === X509_CHAIN) return decodeChain(reader);
  return reader.fail('dwVersion', `is ${version}, neither 1 (RDP's own) nor 2 (X.509)`, 4);
}

function decodeProprietary(reader: Reader): ServerCertificate {
  reader.skip('dwSigAlgId', 4);
  reader.skip('dwKeyAlgId', 4);
  const type = reader.u16le('wPublicKeyBlobType');
  if (type !== RSA_KEY_BLOB) reader.fail('wPublicKeyBlobType', `is ${type}, not ${RSA_KEY_BLOB}`, 2);
  const blob = reader.part('PublicKeyBlob', reader.u16le('wPublicKeyBlobLen'));
  if (blob.u32le('magic') !== RSA_MAGIC) blob.fail('magic', 'is not that of an RSA key', 4);
  const length = blob.u32le('keylen');
  blob.skip('bitlen', 4);
  blob.skip('datalen', 4);
  const exponent = blob.u32le('pubExp');
  if (length <= MODULUS_PADDING || length > MAX_MODULUS_BYTES + MODULUS_PADDING)
    blob.fail('keylen', `is ${length}, no length of an RSA key`, 16);
  const modulus = new Uint8Array(blob.bytes('modulus', length - MODULUS_PADDING));
  return { kind: 'proprietary', exponent, modulus };
}

function decodeChain(reader: Reader): ServerCertificate {
  const count = reader.u32le('NumCertBlobs');
  if (count === 0 || count > MAX_CERTIFICATES)
    reader.fail('NumCertBlobs', `is ${count}, between 1 and ${MAX_CERTIFICATES} are read`, 4);
  let certificate = new Uint8Array();
  for (let n = 0; n < count; n += 1)
    certificate = new Uint8Array(reader.bytes('abCert', reader.u32le('cbCert')));
  return { kind: 'x509', certificate };
}
