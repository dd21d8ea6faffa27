//! What lists that are only appended to tell about the order of transactions.
//!
//! The last look at a list shows the order of all appends to it. Each read of it must be the
//! beginning of that; so it says which append came just before the read and which just after.
//! With the order in time, this gives arrows between transactions, and a circle of arrows is a
//! violation: no order of whole transactions explains what was seen.

use std::collections::HashMap;

/// One access of a transaction to a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// List, and the element that was put at its end.
    Append(u64, u64),
    /// List, and all its elements.
    Read(u64, Vec<u64>),
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Committed,
    Aborted,
    /// Its process was killed: it may have been committed or not.
    CutOff,
}

/// A transaction as its own process saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) fate: Fate,
    pub(crate) accesses: Vec<Access>,
}

/// Looks for what cannot be. `last` holds every list as it was in the end.
pub(crate) fn find_anomaly(
    transactions: &[Seen],
    last: &HashMap<u64, Vec<u64>>,
) -> Result<(), String> {
    let authors = authors(transactions)?;
    let happened = who_happened(transactions, last, &authors)?;
    let mut arrows = vec![Vec::new(); transactions.len()];
    for (list, elements) in last {
        for pair in elements.windows(2) {
            add(&mut arrows, authors[&(*list, pair[0])], authors[&(*list, pair[1])]);
        }
    }
    for (index, seen) in transactions.iter().enumerate().filter(|(index, _)| happened[*index]) {
        // What a killed transaction read is not known to have counted.
        if seen.fate == Fate::Committed {
            add_reads(&mut arrows, index, seen, last, &authors)?;
        }
    }
    for (before, one) in transactions.iter().enumerate() {
        for (after, two) in transactions.iter().enumerate() {
            if happened[before] && happened[after] && one.ended < two.begun {
                add(&mut arrows, before, after);
            }
        }
    }
    match find_circle(&arrows) {
        Some(circle) => Err(format!("a circle of transactions: {circle:?}")),
        None => Ok(()),
    }
}

type Authors = HashMap<(u64, u64), usize>;

fn add(arrows: &mut [Vec<usize>], from: usize, to: usize) {
    if from != to {
        arrows[from].push(to);
    }
}

fn authors(transactions: &[Seen]) -> Result<Authors, String> {
    let mut authors = HashMap::new();
    for (index, seen) in transactions.iter().enumerate() {
        for access in &seen.accesses {
            if let Access::Append(list, element) = access {
                if authors.insert((*list, *element), index).is_some() {
                    return Err(format!("element {element} was put twice"));
                }
            }
        }
    }
    Ok(authors)
}

/// Which transactions took effect: all or nothing of each.
fn who_happened(
    transactions: &[Seen],
    last: &HashMap<u64, Vec<u64>>,
    authors: &Authors,
) -> Result<Vec<bool>, String> {
    for (list, elements) in last {
        for (at, element) in elements.iter().enumerate() {
            if !authors.contains_key(&(*list, *element)) {
                return Err(format!("list {list} holds {element}, which nobody put"));
            }
            if elements[..at].contains(element) {
                return Err(format!("list {list} holds {element} twice"));
            }
        }
    }
    let is_there = |list: &u64, element: &u64| {
        last.get(list).is_some_and(|elements| elements.contains(element))
    };
    let mut happened = Vec::new();
    for (index, seen) in transactions.iter().enumerate() {
        let appends = seen.accesses.iter().filter_map(|access| match access {
            Access::Append(list, element) => Some(is_there(list, element)),
            Access::Read(..) => None,
        });
        let (there, total) =
            appends.fold((0, 0), |(there, total), is| (there + u64::from(is), total + 1));
        let is_so = match seen.fate {
            Fate::Committed if there != total => {
                return Err(format!("transaction {index} lost {} appends", total - there));
            }
            Fate::Aborted if there != 0 => {
                return Err(format!("transaction {index} was aborted and shows"));
            }
            Fate::CutOff if there != 0 && there != total => {
                return Err(format!("half of transaction {index} shows: {there} of {total}"));
            }
            Fate::Committed => true,
            Fate::Aborted => false,
            Fate::CutOff => there > 0,
        };
        happened.push(is_so);
    }
    Ok(happened)
}

/// Adds what the reads of one transaction tell.
fn add_reads(
    arrows: &mut [Vec<usize>],
    index: usize,
    seen: &Seen,
    last: &HashMap<u64, Vec<u64>>,
    authors: &Authors,
) -> Result<(), String> {
    let none = Vec::new();
    for (place, access) in seen.accesses.iter().enumerate() {
        let Access::Read(list, elements) = access else { continue };
        let all = last.get(list).unwrap_or(&none);
        // Its own appends so far stand at the end of what it reads.
        let own: Vec<u64> = own_appends(&seen.accesses[..place], *list);
        let Some(others) = elements.strip_suffix(&own[..]) else {
            return Err(format!("transaction {index} does not see its own appends to {list}"));
        };
        if !all.starts_with(elements) {
            return Err(format!("transaction {index} read {elements:?} in list {list}: {all:?}"));
        }
        if let Some(before) = others.last() {
            let author = authors[&(*list, *before)];
            add(arrows, author, index);
            let more = all.get(others.len()).map(|next| authors[&(*list, *next)]);
            if more == Some(author) && author != index {
                return Err(format!("transaction {index} saw half of transaction {author}"));
            }
        }
        if let Some(after) = all.get(elements.len()) {
            add(arrows, index, authors[&(*list, *after)]);
        }
    }
    Ok(())
}

fn own_appends(accesses: &[Access], list: u64) -> Vec<u64> {
    let own = accesses.iter().filter_map(|access| match access {
        Access::Append(to, element) if *to == list => Some(*element),
        _ => None,
    });
    own.collect()
}

/// A circle of arrows, if there is one.
fn find_circle(arrows: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; arrows.len()];
    for root in 0..arrows.len() {
        let mut path = vec![(root, 0)];
        if marks[root] != Mark::New {
            continue;
        }
        marks[root] = Mark::Open;
        while let Some((at, next)) = path.last_mut() {
            let Some(to) = arrows[*at].get(*next).copied() else {
                marks[*at] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[to] {
                Mark::Done => {}
                Mark::Open => {
                    let from = path.iter().position(|step| step.0 == to)?;
                    return Some(path[from..].iter().map(|step| step.0).collect());
                }
                Mark::New => {
                    marks[to] = Mark::Open;
                    path.push((to, 0));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(begun: u64, ended: u64, fate: Fate, accesses: &[Access]) -> Seen {
        Seen { begun, ended, fate, accesses: accesses.to_vec() }
    }

    #[test]
    fn a_write_skew_is_a_circle() {
        let one = [Access::Read(1, vec![]), Access::Append(2, 20)];
        let two = [Access::Read(2, vec![]), Access::Append(1, 10)];
        let both = [seen(1, 9, Fate::Committed, &one), seen(1, 9, Fate::Committed, &two)];
        let last = HashMap::from([(1, vec![10]), (2, vec![20])]);
        assert!(find_anomaly(&both, &last).is_err_and(|said| said.contains("circle")));
        let aborted = [both[0].clone(), seen(1, 9, Fate::Aborted, &two)];
        assert_eq!(find_anomaly(&aborted, &HashMap::from([(2, vec![20])])), Ok(()));
    }

    #[test]
    fn a_read_of_the_past_is_a_circle() {
        let writer = seen(1, 2, Fate::Committed, &[Access::Append(1, 10)]);
        let reader = seen(3, 4, Fate::Committed, &[Access::Read(1, vec![])]);
        let last = HashMap::from([(1, vec![10])]);
        assert!(find_anomaly(&[writer, reader], &last).is_err_and(|said| said.contains("circle")));
    }

    #[test]
    fn half_of_a_killed_transaction_is_seen() {
        let both = [Access::Append(1, 10), Access::Append(2, 20)];
        let killed = [seen(1, u64::MAX, Fate::CutOff, &both)];
        assert!(find_anomaly(&killed, &HashMap::from([(1, vec![10])])).is_err());
        assert_eq!(find_anomaly(&killed, &HashMap::new()), Ok(()));
        let last = HashMap::from([(1, vec![10]), (2, vec![20])]);
        assert_eq!(find_anomaly(&killed, &last), Ok(()));
    }
}
