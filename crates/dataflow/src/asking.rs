//! Has models asked about rows, beside the worker, and records what they answer before anything rests on it.
//!
//! A lane of its own asks, one order after the other. What the run before recorded and did not come to a checkpoint with is answered
//! from the record, so that what was put out at once on the strength of an answer is put out again as it was. A job without state, which
//! goes on from nothing, records nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use checkpoint::{Answers, Store};
use detect::{Inference, Inquiry, Responder};
use event::Shard;

use crate::job::RunError;
use crate::space::Patience;
use crate::worker::Here;
use crate::world::{After, Lane};

/// Questions about what the windows gave with one right.
pub(crate) struct Order {
    number: u64,
    interval: u32,
    /// Of which half each is, in the order of these.
    pub(crate) inquiries: Vec<(usize, Inquiry)>,
    /// The answers to each, NaN where there is none yet, or none came.
    pub(crate) answers: Vec<Vec<f64>>,
    /// What is to be recorded, once all were asked.
    fresh: Option<Answers>,
}

/// Whoever answers for the models of a job, on one thread.
#[derive(Default)]
pub(crate) struct Responders(BTreeMap<u128, Box<dyn Responder>>);

/// The worker's end of the lane.
pub(crate) struct Asking {
    orders: Option<Lane<Order>>,
    answered: Receiver<Result<Order, RunError>>,
    sent: u64,
}

impl Responders {
    /// Asks a model about some rows; NaN where no answer comes. Whoever answers says by itself that it does not.
    pub(crate) fn ask(&mut self, model: &dyn Inference, columns: &[Vec<f64>]) -> Vec<f64> {
        let rows = columns.first().map_or(0, Vec::len);
        let responder = self.0.entry(model.identity()).or_insert_with(|| model.open());
        match responder.ask(columns) {
            Ok(answers) if answers.len() == rows => answers,
            _ => vec![f64::NAN; rows],
        }
    }

    /// Answers questions about few rows at once, where the model is on this machine.
    pub(crate) fn ask_at_once(&mut self, inquiry: &Inquiry) -> Option<Vec<f64>> {
        let rows_max = inquiry.model.rows_max().max(1);
        let is_possible = inquiry.model.is_local() && inquiry.marks.len() <= rows_max;
        is_possible.then(|| self.ask(inquiry.model.as_ref(), &inquiry.columns))
    }
}

/// Where answers are recorded.
pub(crate) struct Record {
    pub(crate) store: Store,
    /// Which start of the job began from nothing. What was said in the life of another one is not for this.
    pub(crate) born: u64,
}

impl Record {
    /// What is recorded of the keys of a worker.
    fn known(&self, here: &Here) -> Result<HashMap<u128, f64>, RunError> {
        let shards = here.job.state.as_ref().map_or(crate::SHARDS, |state| state.shards);
        let is_ours =
            |mark: u128| Shard::of((mark >> 64) as u64, shards).worker(shards, here.peers) == here.worker;
        let mut known = HashMap::new();
        for Answers { marks, answers, .. } in self.store.recorded(self.born)? {
            known.extend(marks.into_iter().zip(answers).filter(|(mark, _)| is_ours(*mark)));
        }
        Ok(known)
    }
}

impl Asking {
    /// Starts the lane. `activate` is called when an order is answered.
    ///
    /// # Errors
    /// If what the run before recorded cannot be read.
    pub(crate) fn spawn(
        record: Option<Record>,
        here: &Here,
        activate: Box<dyn Fn() + Send>,
    ) -> Result<Self, RunError> {
        let mut known = record.as_ref().map(|record| record.known(here)).transpose()?.unwrap_or_default();
        let (done, answered) = channel();
        let mut patience = Patience::new(here);
        let mut responders = Responders::default();
        let name = format!("{:03}-{:016x}", here.worker, here.nonce);
        let work = move |order: &mut Order| {
            if order.fresh.is_none() {
                order.fresh = Some(order.ask(&mut known, &mut responders));
            }
            let recorded = match (&record, &mut order.fresh) {
                (Some(Record { store, born }), Some(fresh)) if !fresh.marks.is_empty() => {
                    fresh.born = *born;
                    store.record(order.interval, &format!("{name}-{}", order.number), fresh)
                }
                _ => Ok(()),
            };
            let answered = match recorded {
                Err(error) => match patience.after(error.into()) {
                    Ok(again) => return again,
                    Err(error) => Err(error),
                },
                Ok(()) => Ok(order.take()),
            };
            patience.over();
            let failed = answered.is_err();
            let is_gone = done.send(answered).is_err();
            activate();
            if failed || is_gone { After::Stop } else { After::Done }
        };
        let orders = here.world.lane(&format!("models-{}", here.worker), work);
        if let Err(error) = &orders {
            here.outcome.fail(RunError::Died(format!("cannot start a thread: {error}")));
        }
        Ok(Asking { orders: orders.ok(), answered, sent: 0 })
    }

    /// Sends questions. They are answered in the order in which they were sent.
    pub(crate) fn send(&mut self, interval: u32, inquiries: Vec<(usize, Inquiry)>) {
        let answers = inquiries.iter().map(|(_, inquiry)| vec![f64::NAN; inquiry.marks.len()]).collect();
        let order = Order { number: self.sent, interval, inquiries, answers, fresh: None };
        self.sent += 1;
        // Without the lane the run has failed already.
        if let Some(orders) = &self.orders {
            orders.send(order);
        }
    }

    /// The next order that is answered, if it is by now.
    ///
    /// # Errors
    /// If its answers could not be recorded.
    pub(crate) fn answered(&mut self) -> Result<Option<Order>, RunError> {
        match self.answered.try_recv() {
            Ok(answered) => answered.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(RunError::Died("the thread that asks models died".into())),
        }
    }
}

impl Order {
    fn take(&mut self) -> Order {
        Order {
            number: self.number,
            interval: self.interval,
            inquiries: std::mem::take(&mut self.inquiries),
            answers: std::mem::take(&mut self.answers),
            fresh: None,
        }
    }

    /// Answers all questions: from what is known, and what is not by asking, in as few requests as the models allow. Gives what is
    /// to be recorded: also what was, since the interval that it is needed for is this one by now.
    fn ask(&mut self, known: &mut HashMap<u128, f64>, responders: &mut Responders) -> Answers {
        // By model: the questions that it is to be asked.
        let mut open: BTreeMap<u128, Vec<(usize, usize)>> = BTreeMap::new();
        let mut fresh = Answers::default();
        for (place, (_, inquiry)) in self.inquiries.iter().enumerate() {
            for (row, mark) in inquiry.marks.iter().enumerate() {
                match known.remove(mark) {
                    Some(answer) => {
                        self.answers[place][row] = answer;
                        fresh.marks.push(*mark);
                        fresh.answers.push(answer);
                    }
                    None => open.entry(inquiry.model.identity()).or_default().push((place, row)),
                }
            }
        }
        for questions in open.into_values() {
            let Some(inquiry) = questions.first().map(|(place, _)| &self.inquiries[*place].1) else {
                continue;
            };
            for batch in questions.chunks(inquiry.model.rows_max().max(1)) {
                let of_batch = |input: usize| -> Vec<f64> {
                    batch.iter().map(|(place, row)| self.inquiries[*place].1.columns[input][*row]).collect()
                };
                let columns: Vec<Vec<f64>> = (0..inquiry.columns.len()).map(of_batch).collect();
                let answers = responders.ask(inquiry.model.as_ref(), &columns);
                for ((place, row), answer) in batch.iter().zip(answers) {
                    self.answers[*place][*row] = answer;
                    fresh.marks.push(self.inquiries[*place].1.marks[*row]);
                    fresh.answers.push(answer);
                }
            }
        }
        fresh
    }
}
