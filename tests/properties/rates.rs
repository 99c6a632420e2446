//! From the session's rate to that of speech, and the sum of several lanes.

use antiphon::clock::Rate;
use antiphon::pcm::mix;
use antiphon::pcm::resample::{Resampler, ResamplerTable};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_frame_of_a_session_is_a_frame_of_speech(
        rate in prop::sample::select(vec![8_000_u32, 16_000, 24_000, 48_000]),
        frames in prop::collection::vec((any::<i16>(), any::<i16>(), 1..40_usize), 1..60),
    ) {
        let rate = Rate::from_hz(rate).unwrap();
        let table = ResamplerTable::new(rate.hz(), Rate::SPEECH.hz());
        let (mut stream, mut heard) = (Resampler::new(&table), 0);
        for (low, high, half) in frames {
            let frame: Vec<i16> =
                (0..rate.frame()).map(|n| if n / half % 2 == 0 { low } else { high }).collect();
            let mut out = Vec::new();
            stream.push(&table, &frame, &mut out);
            heard += out.len();
            prop_assert_eq!(out.len(), Rate::SPEECH.frame());
        }
        prop_assert_eq!(heard % Rate::SPEECH.frame(), 0);
    }

    #[test]
    fn a_sum_of_lanes_is_the_same_in_any_order_and_without_one_is_that_of_the_others(
        lanes in prop::collection::vec(prop::collection::vec(any::<i16>(), 48), 1..17),
        gone in 0..16_usize,
    ) {
        let sum = |lanes: &[Vec<i16>]| {
            let (mut sum, mut out) = (vec![0; 48], vec![0; 48]);
            lanes.iter().for_each(|lane| mix::mix_into(&mut sum, lane));
            mix::saturate(&sum, &mut out);
            (sum, out)
        };
        let (all, heard) = sum(&lanes);
        let backwards: Vec<_> = lanes.iter().rev().cloned().collect();
        prop_assert_eq!(&sum(&backwards).1, &heard);
        let gone = gone % lanes.len();
        let (mut others, mut without) = (lanes.clone(), vec![0; 48]);
        let own = others.remove(gone);
        mix::saturate_without(&all, &own, &mut without);
        prop_assert_eq!(sum(&others).1, without);
        let exact = lanes.iter().fold(vec![0_i64; 48], |mut exact, lane| {
            exact.iter_mut().zip(lane).for_each(|(sum, s)| *sum += i64::from(*s));
            exact
        });
        let clipped: Vec<i16> = exact.iter().map(|s| (*s).clamp(-32_768, 32_767) as i16).collect();
        prop_assert_eq!(heard, clipped, "clipped, never wrapped");
    }
}
