use super::*;

fn stack(vcpu: u32, frames: &[u64]) -> Stack {
    Stack {
        vcpu,
        activity: Activity::Guest,
        space: CodeSpace::default(),
        frames: frames.to_vec(),
    }
}

#[test]
fn each_stack_is_kept_once_and_each_sample_with_its_time() {
    let mut table = Table::default();
    table.add(stack(0, &[1, 2]), 10, 1, 5);
    table.add(stack(1, &[1, 2]), 10, 1, 5);
    table.add(stack(0, &[1, 2]), 20, 3, 5);
    table.missed();
    assert_eq!(table.taken(), 5);
    let all = table.into_samples(Duration::from_secs(1));
    let counts: Vec<_> = all
        .stacks
        .iter()
        .map(|(it, count)| (it.vcpu, *count))
        .collect();
    assert_eq!(counts, [(0, 4), (1, 1)]);
    let times: Vec<_> = all.samples.iter().map(|it| (it.stack, it.at_ns)).collect();
    assert_eq!(times, [(0, 10), (1, 10), (0, 20), (0, 25), (0, 30)]);
    assert_eq!(all.missed, 1);
}

#[test]
fn stacks_that_are_too_many_are_counted_together() {
    let mut table = Table::default();
    for frame in 0..MAX_SAMPLED_STACKS as u64 + 10 {
        table.add(stack(3, &[frame]), 0, 1, 1);
    }
    table.add(stack(3, &[0]), 0, 1, 1);
    let all = table.into_samples(Duration::ZERO);
    assert_eq!(all.stacks.len(), MAX_SAMPLED_STACKS + 1);
    let (last, count) = &all.stacks[MAX_SAMPLED_STACKS];
    assert_eq!(
        (last.activity, last.vcpu, *count),
        (Activity::Unlisted, 3, 10)
    );
    assert!(last.frames.is_empty());
    assert_eq!(all.stacks[0].1, 2, "a known one is still known");
}

#[test]
fn frames_that_are_too_many_are_not_kept() {
    let mut table = Table::default();
    let frames = vec![7; MAX_SAMPLED_FRAMES / 1000];
    for first in 0..1010 {
        table.add(stack(0, &[&[first], frames.as_slice()].concat()), 0, 1, 1);
    }
    let all = table.into_samples(Duration::ZERO);
    let kept: usize = all.stacks.iter().map(|(it, _)| it.frames.len()).sum();
    assert!(kept <= MAX_SAMPLED_FRAMES);
    assert_eq!(all.stacks.iter().map(|(_, count)| count).sum::<u64>(), 1010);
}

#[test]
fn samples_beyond_those_that_are_kept_still_count() {
    let mut table = Table::default();
    let all = MAX_SAMPLES as u64 + 5;
    table.add(stack(0, &[1]), u64::MAX - 3, all, u64::MAX);
    table.add(stack(0, &[2]), 0, 1, 1);
    assert_eq!(table.taken(), all + 1);
    let samples = table.into_samples(Duration::ZERO);
    assert_eq!(samples.samples.len(), MAX_SAMPLES);
    assert_eq!((samples.stacks[0].1, samples.stacks[1].1), (all, 1));
}
