//! What must be agreed to of the extensions that are offered (RFC 6455, section 9.1; RFC 7692, section 7.1), read
//! slowly: by splitting, since no separator can stand in a value that is right, quoted or not.

/// The value of `Sec-WebSocket-Extensions` that answers `offered`; none: nothing is agreed to.
///
/// # Errors
/// Where `offered` is no list of extensions.
pub(crate) fn agreed(offered: &[u8]) -> Result<Option<String>, ()> {
    let mut answer = None;
    for element in offered.split(|byte| *byte == b',') {
        if trim(element).is_empty() {
            continue;
        }
        let mut parts = element.split(|byte| *byte == b';').map(trim);
        let name = token(parts.next().expect("a split has a first part"))?;
        let parameters = parts.map(parameter).collect::<Result<Vec<_>, ()>>()?;
        if name == "permessage-deflate" {
            answer = answer.or(answer_to(&parameters));
        }
    }
    Ok(answer)
}

fn trim(bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| b" \t".contains(byte);
    let Some(start) = bytes.iter().position(|byte| !is_space(byte)) else {
        return &[];
    };
    let end = bytes.iter().rposition(|byte| !is_space(byte));
    &bytes[start..=end.expect("there is one")]
}

fn token(bytes: &[u8]) -> Result<String, ()> {
    let is_right = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if bytes.is_empty() || !bytes.iter().all(is_right) {
        return Err(());
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

type Parameter = (String, Option<String>);

fn parameter(bytes: &[u8]) -> Result<Parameter, ()> {
    let Some(equals) = bytes.iter().position(|byte| *byte == b'=') else {
        return Ok((token(bytes)?, None));
    };
    let value = match trim(&bytes[equals + 1..]) {
        [b'"', quoted @ .., b'"'] => token(&unescape(quoted)?)?,
        plain => token(plain)?,
    };
    Ok((token(trim(&bytes[..equals]))?, Some(value)))
}

fn unescape(quoted: &[u8]) -> Result<Vec<u8>, ()> {
    let mut plain = Vec::new();
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => *bytes.next().ok_or(())?,
            b'"' => return Err(()),
            byte => *byte,
        });
    }
    Ok(plain)
}

/// The answer to one offer of permessage-deflate; none: it is declined.
fn answer_to(parameters: &[Parameter]) -> Option<String> {
    let known = [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
    ];
    let mut answer = "permessage-deflate; client_no_context_takeover".to_owned();
    let mut bits = [None; 2];
    for (number, (name, value)) in parameters.iter().enumerate() {
        let place = known.iter().position(|known| known == name)?;
        if parameters[..number].iter().any(|(other, _)| other == name) {
            return None;
        }
        match (place, value) {
            (0, None) => answer += "; server_no_context_takeover",
            (1, None) => {}
            (3, None) => bits[1] = Some(15),
            (2 | 3, Some(value)) => {
                let window = (8..=15_u8).find(|bits| bits.to_string() == *value)?;
                bits[place - 2] = Some(window);
            }
            _ => return None,
        }
    }
    match bits {
        [None, _] => Some(answer),
        // A raw stream of zlib has no window of 8 bits.
        [Some(server), Some(client)] if server > 8 => {
            let client = client.min(server);
            Some(format!(
                "{answer}; server_max_window_bits={server}; client_max_window_bits={client}"
            ))
        }
        _ => None,
    }
}
