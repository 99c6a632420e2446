import {
  BarVisualizer,
  DisconnectButton,
  LeaveIcon,
  RoomAudioRenderer,
  SessionProvider,
  StartAudio,
  TrackToggle,
  type UseAgentReturn,
  type UseSessionReturn,
  useAgent,
  useLocalParticipant,
  useSession,
  useSessionMessages,
  type TrackReference,
} from '@livekit/components-react';
import {
  ConnectionState,
  DisconnectReason,
  type LocalAudioTrack,
  Room,
  RoomEvent,
  TokenSource,
  Track,
} from 'livekit-client';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { AGENT, ROOM } from './about';
import { Composer } from './Composer';
import { Level } from './Level';
import { NoticeBox } from './NoticeBox';
import type { Credentials } from './token';
import { Transcript } from './Transcript';
import {
  CONNECTIONS,
  HEAR,
  LEFT,
  MISSING,
  type Notice,
  RECONNECTING,
  STATES,
  UNREADY,
  ended,
  microphone,
  unreachable,
} from './words';

interface Props {
  credentials: Credentials;
  /** The microphone, unless the visitor types. */
  track?: LocalAudioTrack;
  again: () => void;
  /** The call did not come about. */
  giveUp: (notice: Notice | undefined) => void;
}

/** One call, from joining until the visitor joins again. */
export function Call({ credentials, track, again, giveUp }: Props) {
  const source = useMemo(() => TokenSource.literal(credentials as Required<Credentials>), [credentials]);
  const room = useMemo(() => new Room(), []);
  const session = useSession(source, { room });
  const [over, setOver] = useState<Notice>();
  const begun = useRef(false);

  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    let isIn = false;
    room.on(RoomEvent.Disconnected, (reason?: DisconnectReason) => {
      track?.stop();
      if (isIn) setOver(ended(reason));
    });
    const join = async () => {
      await session.start({ tracks: { microphone: { enabled: false } } });
      isIn = true;
      if (track) await room.localParticipant.publishTrack(track, { source: Track.Source.Microphone });
    };
    join().catch((error) => {
      // Whoever leaves while he joins needs no message.
      if (isIn && room.state === ConnectionState.Disconnected) return;
      track?.stop();
      room.disconnect();
      giveUp(unreachable(error));
    });
  }, []);

  return (
    <SessionProvider session={session}>
      <RoomAudioRenderer room={room} />
      <Talk session={session} over={over} again={again} />
    </SessionProvider>
  );
}

function Talk({ session, over, again }: { session: UseSessionReturn; over?: Notice; again: () => void }) {
  const agent = useAgent(session);
  const [refused, setRefused] = useState<Notice>();
  const { messages, send, isSending } = useSessionMessages(session);
  // LiveKit's hooks forget a conversation with its connection; who has talked wants to read on.
  const said = useRef(messages);
  if (session.isConnected) said.current = messages;

  // A component of LiveKit's calls it whenever it is another function.
  const accepted = useCallback(() => setRefused(undefined), []);

  const notices = over ? [over] : [trouble(session, agent), refused];
  const state = over ? 'disconnected' : agent.state;
  return (
    <main
      className="call"
      data-agent-state={agent.state}
      data-agent-track={agent.microphoneTrack?.publication.track?.mediaStreamTrack.id}
      data-connection={session.connectionState}
    >
      <header className="top">
        <h1>{agent.attributes['lk.agent.name'] || agent.name || AGENT}</h1>
        <p className="soft">{ROOM}</p>
      </header>
      <section className="stage" aria-label="The agent">
        <BarVisualizer
          // Without its key it would show the last level of an agent that is gone.
          key={agent.microphoneTrack?.publication.trackSid}
          className="bars"
          state={state}
          track={agent.microphoneTrack}
          barCount={7}
          options={{ minHeight: 12, maxHeight: 100 }}
          aria-hidden="true"
        />
        <p id="state" className={`state ${state}`} role="status">
          {(over ? undefined : CONNECTIONS[session.connectionState]) ?? STATES[state]}
        </p>
        {notices.map((notice) => (notice ? <NoticeBox key={notice.what} notice={notice} /> : null))}
        <StartAudio label={HEAR} />
      </section>
      <Transcript messages={said.current} />
      {over ? (
        <footer className="controls">
          <button id="again" className="lk-button primary" onClick={again}>
            Join again
          </button>
        </footer>
      ) : (
        <>
          <Composer send={send} isSending={isSending} disabled={!session.isConnected} />
          <footer className="controls">
            <Microphone
              room={session.room}
              own={session.local.microphoneTrack}
              disabled={!session.isConnected}
              onError={(error) => setRefused(microphone(error))}
              onChange={accepted}
            />
            <DisconnectButton id="leave" aria-label="Leave the room">
              <LeaveIcon aria-hidden="true" /> <span>Leave</span>
            </DisconnectButton>
          </footer>
        </>
      )}
    </main>
  );
}

/** What keeps the call from going on, if anything. */
function trouble(session: UseSessionReturn, agent: UseAgentReturn): Notice | undefined {
  switch (session.connectionState) {
    case ConnectionState.Reconnecting:
    case ConnectionState.SignalReconnecting:
      return RECONNECTING;
    case ConnectionState.Connecting:
    case ConnectionState.Disconnected:
      return undefined;
    case ConnectionState.Connected:
      if (agent.state !== 'failed') return undefined;
      if (agent.internal.agentParticipant) return UNREADY;
      return agent.failureReasons.some((reason) => reason.includes('left')) ? LEFT : MISSING;
  }
}

interface MicrophoneProps {
  room: Room;
  own: TrackReference | undefined;
  disabled: boolean;
  onError: (error: Error) => void;
  onChange: () => void;
}

/** The visitor's microphone: on or off, and how loud. */
function Microphone({ room, own, disabled, onError, onChange }: MicrophoneProps) {
  const { isMicrophoneEnabled: isOn } = useLocalParticipant({ room });
  return (
    <div className="microphone">
      <TrackToggle
        id="mute"
        className={own ? 'lk-button' : 'lk-button none'}
        source={Track.Source.Microphone}
        aria-label="Microphone"
        title={isOn ? 'Mute the microphone' : 'Switch the microphone on'}
        disabled={disabled}
        onDeviceError={onError}
        onChange={onChange}
      >
        <span>{isOn ? 'Mute' : own ? 'Unmute' : 'Microphone'}</span>
      </TrackToggle>
      {own ? <Level track={isOn ? own : undefined} /> : null}
    </div>
  );
}
