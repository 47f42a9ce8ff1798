//! 64 threads that build maps and strings, send each other what they made, and drop what they got.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc;
use std::thread;

const THREADS: usize = 64;
const MESSAGES: usize = 400;

struct Message {
    words: Vec<String>,
    table: BTreeMap<usize, Box<[u8]>>,
}

fn message(from: usize, number: usize) -> Message {
    let words = (0..number % 50).map(|i| format!("word {i} of {number} from {from}")).collect();
    let table = (0..number % 30).map(|i| (i * 7 % 31, vec![from as u8; i * 40].into_boxed_slice())).collect();
    Message { words, table }
}

fn weigh(message: &Message) -> u64 {
    let words: usize = message.words.iter().map(String::len).sum();
    let bytes: u64 = message.table.values().flatten().map(|b| u64::from(*b)).sum();
    words as u64 + bytes
}

fn main() {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel::<Message>()).unzip();
    let threads: Vec<_> = receivers
        .into_iter()
        .enumerate()
        .map(|(me, inbox)| {
            let senders = senders.clone();
            thread::spawn(move || {
                let mut own = HashMap::new();
                for number in 0..MESSAGES {
                    own.insert(format!("{me}/{number}"), vec![number; number % 100]);
                    senders[(me * 31 + number) % THREADS].send(message(me, number)).unwrap();
                    if number % 3 == 0 {
                        own.retain(|_, list| list.len() % 2 == 0);
                    }
                }
                drop(senders);
                let received: u64 = inbox.iter().map(|m| weigh(&m)).sum();
                received + own.values().map(|v| v.iter().sum::<usize>() as u64).sum::<u64>()
            })
        })
        .collect();
    drop(senders);
    let total: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
    println!("{THREADS} threads, {total}");
}
