import { type FormEvent, useState } from 'react';

interface Props {
  send: (text: string) => Promise<unknown>;
  isSending: boolean;
  disabled: boolean;
}

/** What is typed is sent as a text stream on `lk.chat`. */
export function Composer({ send, isSending, disabled }: Props) {
  const [text, setText] = useState('');
  const [failed, setFailed] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const message = text.trim();
    if (message === '') return;
    try {
      await send(message);
      setText('');
      setFailed(false);
    } catch {
      setFailed(true);
    }
  };
  return (
    <form className="composer" onSubmit={submit}>
      <input
        id="say"
        className="lk-form-control"
        aria-label="Type to the agent"
        placeholder="Type to the agent"
        autoComplete="off"
        enterKeyHint="send"
        maxLength={2_000}
        value={text}
        disabled={disabled}
        onChange={(event) => setText(event.target.value)}
      />
      <button
        className="lk-button"
        type="submit"
        aria-label="Send"
        disabled={disabled || isSending || text.trim() === ''}
      >
        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
          <path
            d="M8 13.5v-11M3.5 7 8 2.5 12.5 7"
            fill="none"
            stroke="currentColor"
            strokeWidth="1.8"
            strokeLinecap="round"
            strokeLinejoin="round"
          />
        </svg>
      </button>
      {failed ? <p className="unsent" role="alert">This was not sent. Try again.</p> : null}
    </form>
  );
}
