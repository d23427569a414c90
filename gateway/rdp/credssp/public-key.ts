/** What CredSSP binds a log-on to: the key in the certificate of the TLS server. */
import { Reader } from '../pdu/cursor.ts';
import { contextTag, readElement, readTagged, Tag } from './der.ts';

/**
 * The content of the subjectPublicKey bit string (RFC 5280 §4.1), a view: a PKCS #1 RSAPublicKey for RSA, the
 * point for elliptic curves. [MS-CSSP] 3.1.5 binds to this, not to the SubjectPublicKeyInfo around it.
 *
 * @throws PduError when the bytes are not a DER certificate
 */
export function subjectPublicKeyOf(certificateDer: Uint8Array): Uint8Array {
  const certificate = readTagged(new Reader(certificateDer), Tag.sequence, 'certificate');
  const tbs = readTagged(certificate, Tag.sequence, 'tbsCertificate');
  const versionOrSerial = readElement(tbs, 'version');
  if (versionOrSerial.tag === contextTag(0)) readElement(tbs, 'serialNumber');
  for (const field of ['signature', 'issuer', 'validity', 'subject']) readTagged(tbs, Tag.sequence, field);
  const info = readTagged(tbs, Tag.sequence, 'subjectPublicKeyInfo');
  readTagged(info, Tag.sequence, 'algorithm');
  const key = readTagged(info, Tag.bitString, 'subjectPublicKey');
  const unused = key.u8('unused bits');
  if (unused !== 0) key.fail('unused bits', `is ${unused} where a key has whole bytes`, 1);
  return key.rest();
}
