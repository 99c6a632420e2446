import { type TrackReference, useTrackVolume } from '@livekit/components-react';

const STEPS = 9;

/** How loud the visitor is: whoever sees nothing move knows why he is not understood. */
export function Level({ track }: { track: TrackReference | undefined }) {
  const volume = useTrackVolume(track);
  // The hook keeps the last level of a track that is gone.
  const lit = track ? Math.round(Math.min(1, volume * 1.2) * STEPS) : 0;
  return (
    <div
      id="level"
      className="level"
      role="meter"
      aria-label="Level of your microphone"
      aria-valuemin={0}
      aria-valuemax={STEPS}
      aria-valuenow={lit}
    >
      {Array.from({ length: STEPS }, (_, at) => (
        <i key={at} className={at < lit ? 'lit' : ''} />
      ))}
    </div>
  );
}
