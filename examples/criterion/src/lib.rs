//! The measured functions: a shop that counts its orders, in two ways.

/// Adds up prices.
#[inline(never)]
pub fn total(prices: &[u64]) -> u64 {
    prices
        .iter()
        .fold(0, |sum, price| sum.rotate_left(1).wrapping_add(*price))
}

/// Counts the prices that are lower than the one before.
#[inline(never)]
pub fn bargains(prices: &[u64]) -> usize {
    prices.windows(2).filter(|pair| pair[1] < pair[0]).count()
}
