// Sends the form of a response mode form_post. A file of its own, since the
// content security policy allows no inline script.
document.querySelector("form").submit();
