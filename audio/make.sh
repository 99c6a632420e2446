#!/bin/sh
# Makes the demo's sound files anew. Needs the Debian packages flite and sox; nothing else here does.
# Both tools seed their chance, so the same versions (flite 2.2, SoX 14.4.2) make the same bytes.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

voice=rms
pcm="-r 16000 -c 1 -b 16"

# --- the caller -------------------------------------------------------------------------------------------------
# One clip for each utterance: 100 ms of quiet, the words, 200 ms of quiet; peaks at -3 dB of full scale.
caller() { # name, text
    flite -voice $voice -t "$2" -o "$work/raw.wav"
    sox -D "$work/raw.wav" $pcm "$work/cut.wav" silence 1 0.01 0.2% reverse silence 1 0.01 0.2% reverse norm -3
    sox -D "$work/cut.wav" "$1.wav" pad 0.1 0.2
}
caller caller-01-order    "hello, where is my order four two one seven"
caller caller-02-hours    "what are your opening hours"
caller caller-03-billing  "I have a question about my bill"
caller caller-04-owe      "how much do I owe"
caller caller-05-invoice  "please send me the invoice"
caller caller-06-return   "I want to return my shoes"
caller caller-07-policy   "what is the return policy"
caller caller-08-barge-in "wait, stop, let me ask you something else"
caller caller-09-refund   "when will I get my refund"
caller caller-10-goodbye  "thank you, goodbye"

# --- what is not a turn -----------------------------------------------------------------------------------------
# A hum of assent: phones, because flite spells the letters of "mm-hmm"; shortened to the length people hum.
flite -voice $voice --setf duration_stretch=0.55 -p "pau ah m hh ah m pau" -o "$work/hum.wav"
sox -D "$work/hum.wav" $pcm "$work/cut.wav" silence 1 0.01 0.5% reverse silence 1 0.01 0.5% reverse norm -9
sox -D "$work/cut.wav" mm-hmm.wav pad 0.1 0.2

# A cough, put together from noise: the burst of the opening throat, the rush of air, the rattle that ends it.
sox -R -D -n $pcm "$work/burst.wav" synth 0.07 whitenoise fade h 0.004 0.07 0.05 \
    equalizer 600 1.2q 14 equalizer 1500 1.5q 10 lowpass 4500 norm -5
sox -R -D -n $pcm "$work/rush.wav" synth 0.16 pinknoise fade h 0.01 0.16 0.12 \
    equalizer 900 1.2q 10 equalizer 2600 2q 6 lowpass 5000 norm -14
sox -R -D -n $pcm "$work/rattle.wav" synth 0.09 sawtooth 150:95 synth 0.09 pinknoise mix \
    fade h 0.01 0.09 0.06 lowpass 900 norm -12
sox -D "$work/burst.wav" "$work/rush.wav" "$work/rattle.wav" cough.wav pad 0.1 0.2

# --- the room ---------------------------------------------------------------------------------------------------
# Six seconds of it, the last folded over the first, make five that loop without a seam.
sox -R -D -n $pcm "$work/hum.wav"  synth 6 brownnoise highpass 60 lowpass 500 norm -6
sox -R -D -n $pcm "$work/hall.wav" synth 6 pinknoise highpass 200 lowpass 3000 tremolo 0.4 35 tremolo 1.1 20 norm -6
sox -R -D -m -v 0.6 "$work/hum.wav" -v 0.5 "$work/hall.wav" "$work/room.wav"
sox -D "$work/room.wav" "$work/body.wav" trim 1 4
sox -D "$work/room.wav" "$work/tail.wav" trim 5 1 fade q 0 1 1
sox -D "$work/room.wav" "$work/head.wav" trim 0 1 fade q 1
sox -D -m -v 1 "$work/tail.wav" -v 1 "$work/head.wav" "$work/seam.wav"
sox -D "$work/body.wav" "$work/seam.wav" "$work/loop.wav"
# 20 dB below the mean power of the caller's words.
loudness() { sox "$1" -n stat 2>&1 | awk '/RMS .*amplitude/ { print $3 }'; }
sox -D caller-*.wav "$work/all.wav"
gain=$(echo "$(loudness "$work/all.wav") $(loudness "$work/loop.wav")" | awk '{ print 0.1 * $1 / $2 }')
sox -D -v "$gain" "$work/loop.wav" noise.wav

# --- a call in one file -----------------------------------------------------------------------------------------
# The gaps leave room for answers; the second before the barge-in is short, so as to fall into a long one.
gap() { sox -D -n $pcm "$work/gap$1.wav" trim 0 "$1"; }
for length in 1 2.5 3.5 4.5 5; do gap $length; done
sox -D "$work/gap1.wav" \
    caller-01-order.wav "$work/gap5.wav" caller-02-hours.wav "$work/gap4.5.wav" \
    caller-03-billing.wav "$work/gap4.5.wav" caller-04-owe.wav "$work/gap5.wav" \
    caller-06-return.wav "$work/gap4.5.wav" caller-07-policy.wav "$work/gap2.5.wav" \
    caller-08-barge-in.wav "$work/gap4.5.wav" caller-10-goodbye.wav "$work/gap3.5.wav" demo.wav
