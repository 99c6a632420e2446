import type { ReceivedMessage } from '@livekit/components-react';
import { useEffect, useRef } from 'react';
import { AGENT } from './about';

/** Who says something, as the page shows it. */
interface Speaker {
  side: 'you' | 'agent' | 'other';
  name: string;
}

/** Whoever has left before the page saw what he says can only be the agent. */
function speaker(message: ReceivedMessage): Speaker {
  const { from } = message;
  if (from?.isLocal) return { side: 'you', name: 'You' };
  if (!from || from.isAgent) return { side: 'agent', name: from?.name || AGENT };
  return { side: 'other', name: from.name || from.identity };
}

/** Words that the recogniser may still change. */
const isInterim = (message: ReceivedMessage) =>
  message.type !== 'chatMessage' && message.attributes?.['lk.transcription_final'] === 'false';

/** What the words belong to: each new guess at a segment is a stream of its own, with a new id. */
const segment = (message: ReceivedMessage) => message.attributes?.['lk.segment_id'] ?? message.id;

/** What both sides said and typed, the newest at the end and in sight. */
export function Transcript({ messages }: { messages: ReceivedMessage[] }) {
  const list = useRef<HTMLOListElement>(null);
  const isAtEnd = useRef(true);
  // A line stays where it first appeared, whatever guess of it came when, and its speaker's when he has left.
  const known = useRef(new Map<string, Speaker & { place: number }>());
  const first = (message: ReceivedMessage) => {
    const { current } = known;
    let line = current.get(segment(message));
    if (!line) current.set(segment(message), (line = { ...speaker(message), place: current.size }));
    return line;
  };
  messages.forEach(first);
  const lines = messages.toSorted((a, b) => first(a).place - first(b).place);
  const last = lines.at(-1);
  // Who has scrolled back to read is not pulled away.
  const toEnd = () => {
    const { current } = list;
    if (current && isAtEnd.current) current.scrollTop = current.scrollHeight;
  };
  useEffect(toEnd, [lines.length, last?.message]);
  useEffect(() => {
    const resized = new ResizeObserver(toEnd);
    if (list.current) resized.observe(list.current);
    return () => resized.disconnect();
  }, []);
  const onScroll = () => {
    const { current } = list;
    if (current) isAtEnd.current = current.scrollHeight - current.scrollTop - current.clientHeight < 48;
  };
  return (
    <section className="transcript" aria-label="Transcript">
      <ol ref={list} onScroll={onScroll} role="log" aria-live="polite" aria-label="What was said" tabIndex={0}>
        {lines.map((message) => {
          const { side, name } = first(message);
          const kind = message.type === 'chatMessage' ? 'typed' : 'spoken';
          const final = !isInterim(message);
          return (
            <li key={segment(message)} className={side} data-from={side} data-kind={kind} data-final={final}>
              <span className="who">
                {name}
                {kind === 'typed' ? ' · typed' : ''}
              </span>
              <span className="words">{message.message.trim()}</span>
            </li>
          );
        })}
      </ol>
      {lines.length === 0 ? <p className="empty">What you and the agent say is written here.</p> : null}
    </section>
  );
}
