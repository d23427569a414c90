/** `sallyport recordings ls --archive`: what an archive alone can tell of its recordings. */
import { type Archive, ContainerError, openArchives, openRecording } from '../../recorder/index.ts';
import { bytesText, durationText, printList, timeText, UsageError } from './output.ts';

/** Opened at once; each is some small reads of an archive that may be far away. */
const AT_ONCE = 8;

interface Line {
  readonly id: string;
  readonly node?: string;
  readonly protocol?: string;
  readonly user?: string;
  readonly account?: string;
  readonly system?: string;
  readonly policy?: string;
  /** ms since the epoch. */
  readonly startedAt?: number;
  /** ms; undefined: not sealed. */
  readonly duration?: number | undefined;
  readonly recordedBytes: number;
  readonly segments?: number | undefined;
  readonly headHash?: string | undefined;
  readonly sealed: boolean;
  readonly state: string;
}

/** Prints the newest `limit` recordings of an archive. */
export async function listArchive(
  url: string,
  limit: number,
  options: { readonly config?: string; readonly json?: boolean },
): Promise<void> {
  if (options.config !== undefined)
    throw new UsageError('--archive: reads an archive alone, without a configuration: leave --config out');
  const archive = openArchives({ urls: [url] });
  const entries: { readonly sessionId: string; readonly bytes: number }[] = [];
  for await (const entry of archive.list()) {
    entries.push(entry);
    if (entries.length === limit) break;
  }
  const lines: Line[] = [];
  for (let at = 0; at < entries.length; at += AT_ONCE)
    lines.push(
      ...(await Promise.all(
        entries.slice(at, at + AT_ONCE).map(({ sessionId, bytes }) => lineOf(archive, sessionId, bytes)),
      )),
    );
  printList(
    lines,
    [
      { title: 'ID', value: (line) => line.id },
      { title: 'USER', value: (line) => line.user },
      { title: 'TARGET', value: (line) => line.account && `${line.account}@${line.system}` },
      { title: 'OPENED', value: (line) => timeText(line.startedAt) },
      { title: 'DURATION', value: (line) => durationText(line.duration) },
      { title: 'SIZE', value: (line) => bytesText(line.recordedBytes), align: 'right' },
      { title: 'STATE', value: (line) => line.state },
    ],
    { json: options.json, empty: `no recordings in ${archive.description}` },
  );
}

/** One that is damaged is listed all the same. */
async function lineOf(archive: Archive, id: string, recordedBytes: number): Promise<Line> {
  try {
    const reader = await openRecording(archive, id, []);
    await reader.close();
    const { node, protocol, user, account, system, policy, startedAt } = reader.header();
    const manifest = reader.manifest();
    const { truncatedAt, head } = reader;
    return {
      id,
      node,
      protocol,
      user,
      account,
      system,
      policy,
      startedAt,
      duration: manifest === undefined ? undefined : Math.round(manifest.duration / 1000),
      recordedBytes,
      segments: manifest?.segments ?? truncatedAt,
      headHash: head,
      sealed: manifest !== undefined,
      state:
        manifest === undefined
          ? 'unsealed'
          : truncatedAt === undefined
            ? 'sealed'
            : `truncated at segment ${truncatedAt}`,
    };
  } catch (error) {
    if (!(error instanceof ContainerError)) throw error;
    return { id, recordedBytes, sealed: false, state: `damaged: ${error.message}` };
  }
}
