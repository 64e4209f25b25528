// The code that does the same elsewhere, with the address filled in.

/** A string as JavaScript, Python, Rust and Go all write it. */
const quoted = (text) => JSON.stringify(text);

/** A word of a POSIX shell. */
const shellWord = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The address with http: or https:, for what speaks the handshake by hand. */
const overHttp = (address) => address.replace(/^ws/, 'http');

const LANGUAGES = [
  {
    name: 'Browser',
    needs: 'Paste it into a console.',
    code: (address) => `const socket = new WebSocket(${quoted(address)});
socket.addEventListener('open', () => socket.send('Hello'));
socket.addEventListener('message', (event) => {
  console.log(event.data);
  socket.close(1000);
});
socket.addEventListener('error', () => console.log('error'));
socket.addEventListener('close', (event) => console.log('close', event.code));
`,
  },
  {
    name: 'Node',
    needs: 'Node 22 or later has the same WebSocket as a browser.',
    code: (address) => `// echo.mjs; run it with: node echo.mjs
const socket = new WebSocket(${quoted(address)});
socket.onopen = () => socket.send('Hello');
socket.onmessage = (event) => {
  console.log(event.data);
  socket.close(1000);
};
socket.onclose = (event) => console.log('close', event.code);
`,
  },
  {
    name: 'Python',
    needs: 'pip install websockets',
    code: (address) => `from websockets.sync.client import connect

with connect(${quoted(address)}) as socket:
    socket.send("Hello")
    print(socket.recv())
`,
  },
  {
    name: 'Rust',
    needs: 'cargo add tokio --features full; cargo add tokio-tungstenite futures-util',
    code: (address) => `use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::connect_async;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut socket, _) = connect_async(${quoted(address)}).await?;
    socket.send("Hello".into()).await?;
    if let Some(message) = socket.next().await {
        println!("{}", message?);
    }
    socket.close(None).await?;
    Ok(())
}
`,
    needsForTls: 'cargo add tokio --features full; cargo add tokio-tungstenite --features rustls-tls-webpki-roots; cargo add futures-util',
  },
  {
    name: 'Go',
    needs: 'go get github.com/coder/websocket',
    code: (address) => `package main

import (
	"context"
	"fmt"
	"log"

	"github.com/coder/websocket"
)

func main() {
	ctx := context.Background()
	socket, _, err := websocket.Dial(ctx, ${quoted(address)}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer socket.CloseNow()
	if err := socket.Write(ctx, websocket.MessageText, []byte("Hello")); err != nil {
		log.Fatal(err)
	}
	_, message, err := socket.Read(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(message))
	socket.Close(websocket.StatusNormalClosure, "")
}
`,
  },
  {
    name: 'websocat',
    needs: 'cargo install websocat, or a package of your system',
    code: (address) => `# Each line that you type is sent; Ctrl-C ends it.
websocat ${shellWord(address)}
`,
  },
  {
    name: 'curl',
    needs: 'Only the handshake: curl shows the 101, and ends after two seconds.',
    code: (address) => `curl --include --no-progress-meter --max-time 2 --http1.1 \\
  --header 'Connection: Upgrade' \\
  --header 'Upgrade: websocket' \\
  --header 'Sec-WebSocket-Version: 13' \\
  --header 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' \\
  ${shellWord(overHttp(address))}
`,
  },
];

function chosenLanguage() {
  const chosen = document.querySelector('input[name=language]:checked').value;
  return LANGUAGES.find(({ name }) => name === chosen);
}

function showCode() {
  const { code, needs, needsForTls } = chosenLanguage();
  const typed = byId('address').value.trim();
  const address = /^wss?:/.test(typed) && URL.canParse(typed) ? new URL(typed).href : here('/');
  byId('code-text').textContent = code(address);
  byId('code-needs').textContent = address.startsWith('wss:') ? (needsForTls ?? needs) : needs;
}

/** Copies the code; where the browser does not let a page do so, it is selected. */
async function copyCode() {
  try {
    await navigator.clipboard.writeText(byId('code-text').textContent);
    announce('Copied.');
    byId('copy').textContent = 'Copied';
    setTimeout(() => {
      byId('copy').textContent = 'Copy';
    }, 2000);
  } catch {
    getSelection().selectAllChildren(byId('code-text'));
    announce('Selected: copy it with the keyboard.');
  }
}

function startCode() {
  for (const [index, { name }] of LANGUAGES.entries()) {
    const radio = element('input', { type: 'radio', name: 'language', value: name });
    radio.checked = index === 0;
    radio.addEventListener('change', showCode);
    byId('languages').append(element('label', {}, radio, ` ${name}`));
  }
  byId('address').addEventListener('input', showCode);
  byId('copy').addEventListener('click', copyCode);
  showCode();
}
