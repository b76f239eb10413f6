//! Questions about the rows of closed windows, which are asked together.

use std::collections::{BTreeMap, HashMap};

use checkpoint::Answers;
use detect::Inquiry;

use super::Responders;

/// Questions about what the windows gave with one right.
pub(crate) struct Order {
    /// Of which half each is, in the order of these.
    pub(crate) inquiries: Vec<(usize, Inquiry)>,
    /// The answers to each, NaN where there is none yet, or none came.
    pub(crate) answers: Vec<Vec<f64>>,
}

impl Order {
    /// Questions without answers.
    pub(super) fn new(inquiries: Vec<(usize, Inquiry)>) -> Self {
        let answers = inquiries.iter().map(|(_, inquiry)| vec![f64::NAN; inquiry.marks.len()]).collect();
        Order { inquiries, answers }
    }

    /// Answers all questions: from what is known, and what is not by asking, in as few requests as the models allow. Gives what is
    /// to be recorded: also what was, since the interval that it is needed for is this one by now.
    pub(super) fn ask(&mut self, known: &mut HashMap<u128, f64>, responders: &mut Responders) -> Answers {
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
