// Everything begins here, once the page is read.

startComposing();
startLine();
drawCloseCodes();
startFrames();
startTiming();
startBehaviours();
startSocketIo();
startCode();
