/** `sallyport recordings index`: makes what stands beside recordings and is missing there. */
import type { Command } from 'commander';
import { BackgroundPool } from '../../recorder/index.ts';
import { withCommon } from './common.ts';
import { printList } from './output.ts';
import { findRecording } from './recordings-find.ts';
import { chosen, jobsOf, type ManyOptions, withMany, workOnEach } from './recordings-many.ts';
import { identitiesOf } from './recordings-open.ts';

interface Row {
  readonly id: string;
  /** What was missing and is there now. */
  readonly made: readonly string[];
  readonly problem?: string;
}

export function addIndex(recordings: Command): void {
  withMany(
    withCommon(
      recordings
        .command('index')
        .description(
          'make the text and the index of pictures that a node did not make: searching and seeking are fast then',
        ),
    ),
  ).action(async (given: readonly string[], options: ManyOptions) => {
    const ids = await chosen(given, options);
    const jobs = jobsOf(options, ids.length);
    await using pool = new BackgroundPool({ processes: jobs });
    const rows = await workOnEach<Row>(
      ids,
      jobs,
      options,
      async (each) => {
        await using found = await findRecording(each, options);
        const { archive, id } = found;
        const opener = await identitiesOf(found.dataDir, options.identity, true);
        return { id, made: await pool.putSides({ archive, sessionId: id, opener }) };
      },
      (id, problem) => ({ id, made: [], problem }),
    );
    printList(
      rows,
      [
        { title: 'ID', value: ({ id }) => id },
        {
          title: 'RESULT',
          value: ({ made, problem }) =>
            problem === undefined
              ? made.length === 0
                ? 'nothing is missing'
                : `made: ${made.join(', ')}`
              : `NOT MADE: ${problem}`,
        },
      ],
      { json: options.json, empty: 'no recordings yet' },
    );
    if (rows.some(({ problem }) => problem !== undefined)) process.exitCode = 1;
  });
}
