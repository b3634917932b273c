// Goes back to the client, as the header Refresh does once all frames have been loaded:
// one of a client that hangs would keep the user here.
setTimeout(() => { location.href = document.querySelector("a.button").href }, 5000);
