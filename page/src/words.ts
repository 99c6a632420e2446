/** What the page says: one place, so that the same thing is always said alike. */

import type { AgentState } from '@livekit/components-react';
import {
  ConnectionError,
  ConnectionErrorReason,
  ConnectionState,
  DisconnectReason,
  MediaDeviceFailure,
} from 'livekit-client';
import { AGENT, ROOM } from './about';

/** Something that the visitor has to know: what happened, and what to do. */
export interface Notice {
  what: string;
  remedy: string;
  /** Whether it is trouble: then it is said at once, otherwise when there is time. */
  alarm: boolean;
  /** Whether trying the same again may help. */
  again?: boolean;
}

export const STATES: Record<AgentState, string> = {
  disconnected: 'Not connected',
  connecting: 'Waiting for the agent',
  'pre-connect-buffering': 'Waiting for the agent',
  initializing: 'Getting ready',
  idle: 'Idle',
  listening: 'Listening',
  thinking: 'Thinking',
  speaking: 'Speaking',
  failed: 'Not here',
};

/** What is said instead, where the connection is not there or not yet. */
export const CONNECTIONS: Partial<Record<ConnectionState, string>> = {
  [ConnectionState.Connecting]: 'Joining…',
  [ConnectionState.Reconnecting]: 'Reconnecting…',
  [ConnectionState.SignalReconnecting]: 'Reconnecting…',
};

/** Why there is no microphone. */
export function microphone(error: unknown): Notice {
  const said = { alarm: true, again: true };
  switch (MediaDeviceFailure.getFailure(error instanceof Error ? error : undefined)) {
    case MediaDeviceFailure.PermissionDenied:
      return {
        what: 'The microphone was refused.',
        remedy: 'Allow it for this page in the address bar, then try again.',
        ...said,
      };
    case MediaDeviceFailure.NotFound:
      return { what: 'No microphone was found.', remedy: 'Connect one, then try again.', ...said };
    case MediaDeviceFailure.DeviceInUse:
      return {
        what: 'Another program has the microphone.',
        remedy: 'Close that program, then try again.',
        ...said,
      };
    default:
      return {
        what: 'The microphone cannot be used.',
        remedy: navigator.mediaDevices
          ? `The browser says: ${error instanceof Error ? error.message : error}`
          : 'Browsers give it to pages of this machine alone: open this page as localhost.',
        ...said,
      };
  }
}

/** Why the room could not be joined. */
export function unreachable(error: unknown): Notice {
  const what = 'The room could not be joined.';
  const reason = error instanceof ConnectionError ? error.reason : undefined;
  switch (reason) {
    case ConnectionErrorReason.ServerUnreachable:
    case ConnectionErrorReason.Timeout:
    case ConnectionErrorReason.WebSocket:
      return {
        what,
        remedy: 'The LiveKit server does not answer. Check that it is running, then join again.',
        alarm: true,
      };
    case ConnectionErrorReason.NotAllowed:
      return {
        what,
        remedy: 'The LiveKit server refused the token. Check the API key and secret that Antiphon was given.',
        alarm: true,
      };
    default:
      return { what, remedy: error instanceof Error ? error.message : String(error), alarm: true };
  }
}

/** Why the call is over; nothing if the visitor left. */
export function ended(reason: DisconnectReason | undefined): Notice {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return { what: 'You have left the room.', remedy: '', alarm: false };
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return { what: 'The call is over: the room was closed.', remedy: '', alarm: false };
    case DisconnectReason.PARTICIPANT_REMOVED:
      return { what: 'You were removed from the room.', remedy: '', alarm: true };
    case DisconnectReason.SERVER_SHUTDOWN:
      return { what: 'The server was shut down.', remedy: 'Join again when it is back.', alarm: true };
    default:
      return {
        what: 'The connection was lost.',
        remedy: 'Check the network and the LiveKit server, then join again.',
        alarm: true,
      };
  }
}

export const RECONNECTING: Notice = {
  what: 'The connection was interrupted.',
  remedy: 'Trying to get it back…',
  alarm: true,
};

/** The agent was there and is gone. */
export const LEFT: Notice = { what: `${AGENT} has left the room.`, remedy: '', alarm: false };

/** The agent has not come within the time that LiveKit's components give it. */
export const MISSING: Notice = {
  what: `${AGENT} has not come.`,
  remedy: `Check that antiphon connect is running in the room “${ROOM}”.`,
  alarm: true,
};

/** The agent is in the room, but does not get ready. */
export const UNREADY: Notice = {
  what: `${AGENT} is in the room, but is not ready.`,
  remedy: 'Look at what antiphon connect says.',
  alarm: true,
};

/** The browser plays nothing until it is asked to. */
export const HEAR = 'Let me hear the agent';
