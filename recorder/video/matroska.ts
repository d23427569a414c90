/**
 * Raw pictures with their times as a Matroska stream (RFC 9559), the plainest container that carries
 * both: it tells an encoder how long each picture stands, so that none has to be sent twice.
 */

/** IDs of elements, RFC 9559 §27.1, their EBML length marker included. */
const Id = {
  ebml: 0x1a45dfa3,
  ebmlVersion: 0x4286,
  ebmlReadVersion: 0x42f7,
  ebmlMaxIdLength: 0x42f2,
  ebmlMaxSizeLength: 0x42f3,
  docType: 0x4282,
  docTypeVersion: 0x4287,
  docTypeReadVersion: 0x4285,
  segment: 0x18538067,
  info: 0x1549a966,
  timestampScale: 0x2ad7b1,
  muxingApp: 0x4d80,
  writingApp: 0x5741,
  tracks: 0x1654ae6b,
  trackEntry: 0xae,
  trackNumber: 0xd7,
  trackUid: 0x73c5,
  trackType: 0x83,
  codecId: 0x86,
  defaultDuration: 0x23e383,
  video: 0xe0,
  pixelWidth: 0xb0,
  pixelHeight: 0xba,
  uncompressedFourCc: 0x2eb524,
  cluster: 0x1f43b675,
  timestamp: 0xe7,
  simpleBlock: 0xa3,
} as const;

/** One byte of ones: the size is known only at the end (RFC 8794 §6.2). */
const UNKNOWN_SIZE = 0xff;
const NANOSECONDS_PER_MS = 1_000_000;
const VIDEO_TRACK = 1;
/** Track number 1 as a variable-size integer, no offset to the cluster's time, and the flag of a keyframe. */
const BLOCK_HEAD = Buffer.from([0x81, 0, 0, 0x80]);

/** What comes before the pictures: `width` × `height` pixels, I420; most frames stand `frameTime` µs. */
export function matroskaHeader(width: number, height: number, frameTime: number): Buffer {
  const head = element(
    Id.ebml,
    number(Id.ebmlVersion, 1),
    number(Id.ebmlReadVersion, 1),
    number(Id.ebmlMaxIdLength, 4),
    number(Id.ebmlMaxSizeLength, 8),
    text(Id.docType, 'matroska'),
    number(Id.docTypeVersion, 4),
    number(Id.docTypeReadVersion, 2),
  );
  const info = element(
    Id.info,
    number(Id.timestampScale, NANOSECONDS_PER_MS),
    text(Id.muxingApp, 'sallyport'),
    text(Id.writingApp, 'sallyport'),
  );
  const video = element(
    Id.video,
    number(Id.pixelWidth, width),
    number(Id.pixelHeight, height),
    text(Id.uncompressedFourCc, 'I420'),
  );
  const track = element(
    Id.trackEntry,
    number(Id.trackNumber, VIDEO_TRACK),
    number(Id.trackUid, VIDEO_TRACK),
    number(Id.trackType, 1),
    text(Id.codecId, 'V_UNCOMPRESSED'),
    number(Id.defaultDuration, frameTime * 1000),
    video,
  );
  return Buffer.concat([head, idOf(Id.segment), Buffer.of(UNKNOWN_SIZE), info, element(Id.tracks, track)]);
}

/** What comes before a picture of `bytes` bytes that is first shown at `at` µs. */
export function matroskaFrameHead(at: number, bytes: number): Buffer {
  const time = number(Id.timestamp, Math.round(at / 1000));
  const blockBytes = BLOCK_HEAD.length + bytes;
  const block = Buffer.concat([idOf(Id.simpleBlock), sizeOf(blockBytes), BLOCK_HEAD]);
  const clusterBytes = time.length + block.length + bytes;
  return Buffer.concat([idOf(Id.cluster), sizeOf(clusterBytes), time, block]);
}

function element(id: number, ...content: readonly Buffer[]): Buffer {
  const length = content.reduce((sum, each) => sum + each.length, 0);
  return Buffer.concat([idOf(id), sizeOf(length), ...content]);
}

function number(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return element(id, bytes);
}

function text(id: number, value: string): Buffer {
  return element(id, Buffer.from(value, 'latin1'));
}

function idOf(id: number): Buffer {
  const length = id > 0xffffff ? 4 : id > 0xffff ? 3 : id > 0xff ? 2 : 1;
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(id, 0, length);
  return bytes;
}

/** A size, always in eight bytes: the first is their marker. */
function sizeOf(bytes: number): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(bytes));
  size[0] = 0x01;
  return size;
}
