//! Where items are across: close to what they are joined with, in their order, and apart.
//!
//! A layer's wishes are fulfilled as well as they can be at once, with the least sum of squared distances
//! (pools of adjacent violators); layers take turns.
//!
//! **Invariant:** two neighbours in a layer are as far apart as their extents and the gap want.

use super::layout::{Item, Layers, Piece};

/// Turns that the layers take, to and fro: then nothing moves by a pixel any more.
const SWEEPS: usize = 16;

/// Across, between two agents, and between any other two things.
const AGENTS_GAP: f64 = 26.0;
const GAP: f64 = 8.0;

/// How much more a line that passes wants to be straight than one that ends at an agent.
const STRAIGHTNESS: f64 = 4.0;

/// The places across of all items; the first begins at 0.
pub(super) fn across(layers: &Layers) -> Vec<f64> {
    let count = layers.items.len();
    let mut at = vec![0.0; count];
    for layer in &layers.layers {
        let offsets = offsets(layers, layer);
        let middle = offsets.last().copied().unwrap_or(0.0) / 2.0;
        for (&item, offset) in layer.iter().zip(&offsets) {
            at[item] = offset - middle;
        }
    }
    let (mut above, mut below) = (vec![Vec::new(); count], vec![Vec::new(); count]);
    for (n, piece) in layers.pieces.iter().enumerate() {
        below[piece.upper].push(n);
        above[piece.lower].push(n);
    }
    for sweep in 0..SWEEPS {
        let depth = layers.layers.len();
        // At last, both sides are looked at.
        let both = sweep >= SWEEPS / 2;
        for n in 0..depth {
            let down = sweep % 2 == 0;
            let layer = &layers.layers[if down { n } else { depth - 1 - n }];
            let wishes = layer.iter().map(|&item| {
                let (mut sum, mut weight) = (0.0, 0.0);
                let mut add = |wish: f64, heavy: f64| {
                    sum += wish * heavy;
                    weight += heavy;
                };
                for &piece in above[item].iter().filter(|_| down || both) {
                    let Piece { upper, upper_port, lower_port, .. } = layers.pieces[piece];
                    add(at[upper] + upper_port - lower_port, heavy(layers, item, upper));
                }
                for &piece in below[item].iter().filter(|_| !down || both) {
                    let Piece { lower, upper_port, lower_port, .. } = layers.pieces[piece];
                    add(at[lower] + lower_port - upper_port, heavy(layers, item, lower));
                }
                if weight > 0.0 { (sum / weight, weight) } else { (at[item], 0.1) }
            });
            let wishes: Vec<(f64, f64)> = wishes.collect();
            let offsets = offsets(layers, layer);
            for (&item, place) in layer.iter().zip(nearest(&wishes, &offsets)) {
                at[item] = place;
            }
        }
    }
    let begin = |item: usize| at[item] - layers.items[item].extent.before;
    let first = (0..count).map(begin).fold(f64::INFINITY, f64::min);
    at.iter().map(|place| place - first).collect()
}

fn heavy(layers: &Layers, a: usize, b: usize) -> f64 {
    let passes = !layers.items[a].is_agent && !layers.items[b].is_agent;
    if passes { STRAIGHTNESS } else { 1.0 }
}

/// How far each item of a layer is from the first at least.
fn offsets(layers: &Layers, layer: &[usize]) -> Vec<f64> {
    let mut offset = 0.0;
    let mut before: Option<Item> = None;
    let mut offsets = Vec::with_capacity(layer.len());
    for &item in layer {
        let item = layers.items[item];
        if let Some(before) = before {
            let gap = if before.is_agent && item.is_agent { AGENTS_GAP } else { GAP };
            offset += before.extent.after + gap + item.extent.before;
        }
        offsets.push(offset);
        before = Some(item);
    }
    offsets
}

/// The places nearest to the wishes, each with its weight, that are at least as far apart as the offsets.
fn nearest(wishes: &[(f64, f64)], offsets: &[f64]) -> Vec<f64> {
    // Pools of items that stand as close as they may: their common wish, its weight, and how many they are.
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (&(wish, weight), offset) in wishes.iter().zip(offsets) {
        let mut pool = (wish - offset, weight, 1);
        while let Some(&(wish, weight, count)) = pools.last().filter(|last| last.0 >= pool.0) {
            let sum = weight + pool.1;
            pool = ((wish * weight + pool.0 * pool.1) / sum, sum, count + pool.2);
            pools.pop();
        }
        pools.push(pool);
    }
    let wishes = pools.iter().flat_map(|&(wish, _, count)| std::iter::repeat_n(wish, count));
    wishes.zip(offsets).map(|(wish, offset)| wish + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_fulfilled_as_far_as_the_distances_allow() {
        let offsets = [0.0, 10.0, 20.0];
        let all = |wishes: [f64; 3]| nearest(&wishes.map(|wish| (wish, 1.0)), &offsets);
        assert_eq!(all([0.0, 50.0, 60.0]), [0.0, 50.0, 60.0]);
        assert_eq!(all([30.0, 30.0, 30.0]), [20.0, 30.0, 40.0]);
        assert_eq!(all([0.0, 30.0, 30.0]), [0.0, 25.0, 35.0]);
        assert_eq!(nearest(&[(0.0, 3.0), (0.0, 1.0)], &[0.0, 8.0]), [-2.0, 6.0]);
    }
}
