import type { FormEvent } from 'react';
import { AGENT, ROOM } from './about';
import { NoticeBox } from './NoticeBox';
import type { Notice } from './words';

interface Props {
  name: string;
  setName: (name: string) => void;
  /** What is waited for, once the visitor wants to join. */
  asks?: 'microphone' | 'token';
  notice?: Notice;
  join: (withMicrophone: boolean) => void;
}

const WAITING = { microphone: 'Allow the microphone…', token: 'Joining…' };

/** Before the call, and when it did not come about. */
export function Lobby({ name, setName, asks, notice, join }: Props) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    join(true);
  };
  return (
    <main className="lobby">
      <form className="card" onSubmit={submit}>
        <span className="mark" aria-hidden="true">
          <i /><i /><i /><i /><i />
        </span>
        <h1>Talk to {AGENT}</h1>
        <p className="soft">
          {ROOM ? <>In the room <b>{ROOM}</b>. </> : null}
          You are heard by everybody in it, and see what was understood.
        </p>
        {notice ? <NoticeBox notice={notice} /> : null}
        <label className="field">
          <span>
            Your name <small>optional</small>
          </span>
          <input
            className="lk-form-control"
            name="name"
            autoComplete="name"
            maxLength={64}
            value={name}
            disabled={asks !== undefined}
            onChange={(event) => setName(event.target.value)}
          />
        </label>
        <button id="join" className="lk-button primary" type="submit" disabled={asks !== undefined}>
          {asks ? WAITING[asks] : notice?.again ? 'Try again' : 'Join with the microphone'}
        </button>
        <button
          id="join-typing"
          className="lk-button quiet"
          type="button"
          disabled={asks !== undefined}
          onClick={() => join(false)}
        >
          Join without it and type
        </button>
        <p className="live" role="status">{asks ? WAITING[asks] : ''}</p>
      </form>
    </main>
  );
}
