//! The order within layers: lines should cross as little as possible.
//!
//! Each item goes to the mean of the places of its neighbours in the layer before, then in the layer after,
//! again and again; the order with the fewest crossings stays.
//!
//! **Invariant:** every item stands in its layer exactly once.

use super::layout::Layers;

/// Sweeps to and fro: more have not helped with graphs of a hundred agents.
const SWEEPS: usize = 24;

pub(super) fn arrange(layers: &mut Layers, start: usize) {
    let count = layers.items.len();
    let (mut above, mut below) = (vec![Vec::new(); count], vec![Vec::new(); count]);
    for piece in &layers.pieces {
        below[piece.upper].push(piece.lower);
        above[piece.lower].push(piece.upper);
    }
    // As a search in depth from the start comes across them.
    let mut seen = vec![false; count];
    for root in std::iter::once(start).chain(0..count).filter(|root| *root < count) {
        let mut stack = vec![root];
        while let Some(item) = stack.pop() {
            if std::mem::replace(&mut seen[item], true) {
                continue;
            }
            layers.layers[layers.items[item].layer].push(item);
            stack.extend(below[item].iter().rev());
        }
    }
    let mut places = vec![0.0; count];
    for layer in &layers.layers {
        number(layer, &mut places);
    }
    let mut best = layers.layers.clone();
    let mut fewest = crossings(layers, &below, &places);
    for sweep in 0..SWEEPS {
        if fewest == 0 {
            break;
        }
        let down = sweep % 2 == 0;
        let neighbours = if down { &above } else { &below };
        for n in 0..layers.layers.len() {
            let n = if down { n } else { layers.layers.len() - 1 - n };
            let mean = |item: usize| {
                let next = &neighbours[item];
                let sum: f64 = next.iter().map(|&other: &usize| places[other]).sum();
                if next.is_empty() { places[item] } else { sum / next.len() as f64 }
            };
            let mut keyed: Vec<(f64, usize)> =
                layers.layers[n].iter().map(|&item| (mean(item), item)).collect();
            // Among equals the order alternates, or some crossings would never be seen.
            if sweep % 4 > 1 {
                keyed.reverse();
            }
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            layers.layers[n] = keyed.into_iter().map(|(_, item)| item).collect();
            number(&layers.layers[n], &mut places);
        }
        let crossings = crossings(layers, &below, &places);
        if crossings < fewest {
            fewest = crossings;
            best.clone_from(&layers.layers);
        }
    }
    layers.layers = best;
}

/// Numbers the items of a layer, from 0 to 1: layers have different numbers of items.
fn number(layer: &[usize], places: &mut [f64]) {
    for (at, &item) in layer.iter().enumerate() {
        places[item] = (at as f64 + 0.5) / layer.len() as f64;
    }
}

/// How many pairs of lines cross.
fn crossings(layers: &Layers, below: &[Vec<usize>], places: &[f64]) -> u64 {
    let mut position = vec![0; layers.items.len()];
    for layer in &layers.layers {
        for (at, &item) in layer.iter().enumerate() {
            position[item] = at;
        }
    }
    debug_assert_eq!(places.len(), position.len(), "both are of all items");
    let mut count = 0;
    for pair in layers.layers.windows(2) {
        // Ends in the order of the beginnings: pairs that are the wrong way round cross. They are counted
        // with sums over a binary tree of the places.
        let mut sums = vec![0_u64; pair[1].len() + 1];
        let mut seen = 0;
        for &item in &pair[0] {
            let mut ends: Vec<usize> = below[item].iter().map(|&end| position[end]).collect();
            ends.sort_unstable();
            for &end in &ends {
                let (mut at, mut before) = (end + 1, 0);
                while at > 0 {
                    before += sums[at];
                    at &= at - 1;
                }
                count += seen - before;
            }
            for &end in &ends {
                let mut at = end + 1;
                while at < sums.len() {
                    sums[at] += 1;
                    at += at & at.wrapping_neg();
                }
                seen += 1;
            }
        }
    }
    count
}
