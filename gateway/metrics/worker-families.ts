/** What a session worker counts. */
import type { ControlRequests } from '../../workers/messages.ts';
import { SETUP_STAGES } from '../session/setup-clock.ts';
import { type Family, Plan } from './sheet.ts';

const PROTOCOLS = ['ssh', 'rdp'];
const SIDES = ['client', 'target'];

/** Of a session, from its authorisation to its sealed recording. */
export const SESSION_STATES = ['opening', 'active', 'locked', 'closing'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

export const CONTROL_REQUESTS = [
  'authenticate',
  'nlaKnows',
  'targets',
  'authorise',
  'checkOut',
  'pin',
  'redirect',
  'sessionStarted',
  'spooled',
  'sessionEnded',
] as const satisfies readonly (keyof ControlRequests)[];

/** Seconds. A keystroke that takes 20 ms longer is felt by nobody, one that takes 100 ms by everybody. */
const DELAYS = [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1];
const STEPS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];
export const STALLS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

const FAMILIES: readonly Family[] = [
  {
    name: 'sallyport_sessions',
    help: 'Sessions by protocol and state: opening (authorised, the target is not there yet), active, locked by an operator, closing (the recording is sealed)',
    type: 'gauge',
    labels: { protocol: PROTOCOLS, state: SESSION_STATES },
  },
  {
    name: 'sallyport_sessions_started_total',
    help: 'Sessions that came to be relayed',
    type: 'counter',
    labels: { protocol: PROTOCOLS },
  },
  {
    name: 'sallyport_connections',
    help: 'TCP connections of clients, logged on or not',
    type: 'gauge',
    labels: { protocol: PROTOCOLS },
  },
  {
    name: 'sallyport_relayed_bytes_total',
    help: 'Bytes relayed, by the side that they came from: data of SSH channels, whole PDUs of RDP',
    type: 'counter',
    labels: { protocol: PROTOCOLS, from: SIDES },
  },
  {
    name: 'sallyport_relay_delay_seconds',
    help: "What the gateway adds to the way of a message: from its read on one leg to its write on the other, one sample a write. What waits for a peer's window or socket is left out",
    type: 'histogram',
    labels: { protocol: PROTOCOLS, from: SIDES },
    bounds: DELAYS,
  },
  {
    name: 'sallyport_setup_seconds',
    help: 'How long each stage of the set-up of a session took: log-on (from accept, with what a person types), authorise (with a choice of target and a reason), recording (open and durable in the archive), check-out (of the credential), dial (until the target has taken the log-on), start (until it is relayed)',
    type: 'histogram',
    labels: { protocol: PROTOCOLS, stage: SETUP_STAGES },
    bounds: STEPS,
  },
  {
    name: 'sallyport_setup_total_seconds',
    help: 'From the accept of a connection to the relay of its session, with what a person types',
    type: 'histogram',
    labels: { protocol: PROTOCOLS },
    bounds: STEPS,
  },
  {
    name: 'sallyport_control_request_seconds',
    help: 'What session workers ask of the control plane, until they have the answer',
    type: 'histogram',
    labels: { request: CONTROL_REQUESTS },
    bounds: STEPS,
  },
  {
    name: 'sallyport_recordings',
    help: 'Recordings that run',
    type: 'gauge',
    labels: {},
  },
  {
    name: 'sallyport_recordings_paused',
    help: 'Recordings whose sessions wait because the archive is behind',
    type: 'gauge',
    labels: {},
  },
  {
    name: 'sallyport_recording_pauses_total',
    help: 'How often sessions had to wait because the archive was behind',
    type: 'counter',
    labels: {},
  },
  {
    name: 'sallyport_recording_paused_seconds_total',
    help: 'How long sessions had to wait because the archive was behind, all together',
    type: 'counter',
    labels: {},
  },
  {
    name: 'sallyport_archive_lag_seconds',
    help: 'Age of the oldest recorded byte that the archive has not acknowledged; archive.window.ms bounds it',
    type: 'gauge',
    labels: {},
    over: 'max',
  },
  {
    name: 'sallyport_archive_unacknowledged_bytes',
    help: 'Recorded bytes that the archive has not acknowledged',
    type: 'gauge',
    labels: {},
  },
  {
    name: 'sallyport_archive_window_fill_ratio',
    help: 'How full the durability window of the fullest recording is, in bytes or age (1: it waits)',
    type: 'gauge',
    labels: {},
    over: 'max',
  },
  {
    name: 'sallyport_archive_append_seconds',
    help: 'How long the archive took to acknowledge an append',
    type: 'histogram',
    labels: {},
    bounds: STEPS,
  },
  {
    name: 'sallyport_archive_appended_bytes_total',
    help: 'Bytes that the archive acknowledged: encrypted frames',
    type: 'counter',
    labels: {},
  },
  {
    name: 'sallyport_archive_append_failures_total',
    help: 'Appends that the archive refused; most are tried again',
    type: 'counter',
    labels: {},
  },
  {
    name: 'sallyport_recording_memory_bytes',
    help: 'Memory that recordings hold; archive.window.nodeBytes bounds it',
    type: 'gauge',
    labels: {},
  },
  {
    name: 'sallyport_worker_stall_seconds',
    help: 'Longest stall of the event loop of a session worker in each second',
    type: 'histogram',
    labels: {},
    bounds: STALLS,
  },
  {
    name: 'sallyport_worker_lag_seconds',
    help: 'Longest stall of the event loop in the last second',
    type: 'gauge',
    labels: {},
    over: 'each',
  },
  {
    name: 'sallyport_worker_sessions',
    help: 'Sessions of a session worker',
    type: 'gauge',
    labels: {},
    over: 'each',
  },
  {
    name: 'sallyport_worker_cpu_seconds_total',
    help: 'CPU time of session workers, by its thread alone; user and system',
    type: 'counter',
    labels: {},
  },
  {
    name: 'sallyport_worker_heap_bytes',
    help: 'Heap in use of a session worker',
    type: 'gauge',
    labels: {},
    over: 'each',
  },
  {
    name: 'sallyport_worker_heap_limit_bytes',
    help: 'Heap at which a session worker ends and is replaced',
    type: 'gauge',
    labels: {},
    over: 'each',
  },
  {
    name: 'sallyport_worker_external_bytes',
    help: 'Memory of a session worker outside its heap: buffers',
    type: 'gauge',
    labels: {},
    over: 'each',
  },
];

export const WORKER_PLAN = new Plan(FAMILIES);
