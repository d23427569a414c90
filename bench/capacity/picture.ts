/** The run as a picture. */
import { type Line, type Plot, svgOf } from '../figures/plot.ts';
import type { Held } from './hold.ts';
import type { Sample } from './watch.ts';

const [BLUE, RED, GREEN, GREY] = ['#1f5fbf', '#c8321e', '#2a8a3e', '#888'];

/** @param what the sessions are; a whole SVG document */
export function pictureOf(held: Held, what: string): string {
  const line = (name: string, colour: string | undefined, value: (sample: Sample) => number): Line => ({
    name,
    colour: colour ?? '#000',
    points: held.samples.map((sample) => [sample.second, value(sample)] as const),
  });
  const none = Number.NaN;
  const plot: Plot = {
    title: `${held.sessions} recorded sessions, ${what}`,
    note: `${held.failures} failed; from none to all in ${held.noneToAllSeconds.toFixed(1)} s; direct: the same keys at the same targets at the same time, without the gateway`,
    xUnit: 'seconds',
    marks: [
      { x: held.allOpenAt, name: 'all open' },
      { x: held.endedAt, name: 'end' },
    ],
    panels: [
      { title: 'Open sessions', unit: 'count', lines: [line('open', BLUE, ({ open }) => open)] },
      {
        title: 'Key to answer',
        unit: 'ms, logarithmic',
        log: { floor: 0.1 },
        lines: [
          line('via p50', BLUE, ({ via }) => via?.p50 ?? none),
          line('via p99', RED, ({ via }) => via?.p99 ?? none),
          line('direct p50', GREEN, ({ direct }) => direct?.p50 ?? none),
          line('direct p99', GREY, ({ direct }) => direct?.p99 ?? none),
        ],
      },
      {
        title: 'CPU',
        unit: 'cores',
        lines: [
          line('gateway', RED, ({ gatewayCores }) => gatewayCores),
          line('load', BLUE, ({ loadCores }) => loadCores),
          line('synthetic targets', GREEN, ({ targetCores }) => targetCores),
        ],
      },
      {
        title: 'Memory of the gateway',
        unit: 'MiB',
        lines: [
          line('resident', RED, ({ rssBytes }) => rssBytes / 2 ** 20),
          line('proportional', BLUE, ({ pssBytes }) => pssBytes / 2 ** 20),
        ],
      },
      {
        title: 'Age of the oldest byte that the archive does not have',
        unit: 'ms',
        lines: [line('archive lag', BLUE, ({ archiveLagMs }) => archiveLagMs)],
      },
    ],
  };
  return svgOf(plot);
}
