"use strict";(()=>{try{let e=localStorage.getItem("periwinkle-theme");(e==="light"||e==="dark")&&(document.documentElement.dataset.theme=e)}catch{}})();
