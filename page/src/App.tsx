import { createLocalAudioTrack, type LocalAudioTrack } from 'livekit-client';
import { useState } from 'react';
import { Call } from './Call';
import { Lobby } from './Lobby';
import { type Credentials, credentials } from './token';
import { type Notice, microphone, unreachable } from './words';

/** Where the visitor is. */
type Place =
  | { at: 'lobby'; notice?: Notice }
  | { at: 'door'; asks: 'microphone' | 'token' }
  | { at: 'call'; number: number; credentials: Credentials; track?: LocalAudioTrack };

/** How often somebody has joined since the page was opened: each call is a new one, with nothing of the last. */
let calls = 0;

export function App() {
  const [place, setPlace] = useState<Place>({ at: 'lobby' });
  const [name, setName] = useState('');

  // The microphone comes first: while a browser asks for it, the agent must not be talking to nobody.
  async function join(withMicrophone: boolean) {
    let track: LocalAudioTrack | undefined;
    if (withMicrophone) {
      setPlace({ at: 'door', asks: 'microphone' });
      try {
        track = await createLocalAudioTrack();
      } catch (error) {
        return setPlace({ at: 'lobby', notice: microphone(error) });
      }
    }
    setPlace({ at: 'door', asks: 'token' });
    try {
      setPlace({ at: 'call', number: ++calls, credentials: await credentials(name.trim()), track });
    } catch (error) {
      track?.stop();
      setPlace({ at: 'lobby', notice: unreachable(error) });
    }
  }

  switch (place.at) {
    case 'lobby':
      return <Lobby name={name} setName={setName} notice={place.notice} join={join} />;
    case 'door':
      return <Lobby name={name} setName={setName} asks={place.asks} join={join} />;
    case 'call':
      return (
        <Call
          key={place.number}
          credentials={place.credentials}
          track={place.track}
          again={() => join(place.track !== undefined)}
          giveUp={(notice) => setPlace({ at: 'lobby', notice })}
        />
      );
  }
}
