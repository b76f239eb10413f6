//! Names with the table in front of them: `w.window_start`, `events.user_id`. There is one stream, so the table says
//! nothing; blanks take its place, and every other word stays where it was. Each SELECT knows its own.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::source::Source;

/// The text without tables in front of names, or `None` if there is none.
pub(super) fn without_qualifiers(source: &Source, text: &str, tokens: &[TokenWithSpan]) -> Option<String> {
    let tokens: Vec<&TokenWithSpan> =
        tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let mut blanked = String::new();
    let mut copied = 0;
    let is_union =
        |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if is(word, Keyword::UNION));
    for select in tokens.split(is_union) {
        let tables = tables(select);
        for (at, three) in select.windows(3).enumerate() {
            let [Token::Word(table), Token::Period, Token::Word(_)] =
                [&three[0].token, &three[1].token, &three[2].token]
            else {
                continue;
            };
            let is_member = at > 0 && select[at - 1].token == Token::Period;
            if is_member || !tables.contains(&table.value.as_str()) {
                continue;
            }
            let (start, end) = (source.range(three[0].span).start, source.range(three[1].span).end);
            blanked.push_str(&text[copied..start]);
            blanked.extend(std::iter::repeat_n(' ', end - start));
            copied = end;
        }
    }
    (copied > 0).then(|| blanked + &text[copied..])
}

/// The names of the stream: its own, and the one that the windows have been given.
fn tables<'t>(tokens: &[&'t TokenWithSpan]) -> Vec<&'t str> {
    let word = |at: usize| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) => Some(word),
        _ => None,
    };
    let opens = |at: usize| tokens.get(at).is_some_and(|token| token.token == Token::LParen);
    let mut tables = Vec::new();
    let mut depth = 0;
    let mut from: Option<usize> = None;
    for (at, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth -= 1;
                if depth == 0 && from.is_some() {
                    let alias =
                        if word(at + 1).is_some_and(|word| is(word, Keyword::AS)) { at + 2 } else { at + 1 };
                    tables.extend(
                        word(alias).filter(|word| can_be_alias(word)).map(|word| word.value.as_str()),
                    );
                    break;
                }
            }
            Token::Word(word) if depth == 0 && is(word, Keyword::FROM) => from = Some(at),
            Token::Word(stream) if from.is_some() && depth > 0 && tables.is_empty() => {
                let named = matches!(tokens.get(at + 1).map(|next| &next.token), Some(Token::RArrow));
                if !is(stream, Keyword::TABLE) && !opens(at + 1) && !named {
                    tables.push(stream.value.as_str());
                }
            }
            _ => {}
        }
    }
    tables
}

/// Whether a word behind the windows is another name for them.
pub(super) fn can_be_alias(word: &Word) -> bool {
    word.quote_style.is_some() || word.keyword == Keyword::NoKeyword
}

fn is(word: &Word, keyword: Keyword) -> bool {
    word.quote_style.is_none() && word.keyword == keyword
}
